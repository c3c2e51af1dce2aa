/* The pictures as a list: all that are shown, those found, those with a tag. It can do what the map
 * can, by keys alone: the arrows walk, Enter opens, the space bar selects.
 */
const AT_ONCE = 40; // rows that are made at a time

/**
 * `places` holds the elements. `open(n)`, `pick(n)` and `point(n)` follow what is done with a row;
 * `holds(n)` tells whether it is selected, `image(n)` where its picture is, `briefs` what is known.
 */
function createList({ places, briefs, image, open, pick, point, holds }) {
  let numbers = [];
  let made = 0;
  let current = 0; // the row that the keys are at
  let turn = 0;

  const rowAt = (index) => places.list.children[index];
  const fill = (row, n) => {
    const brief = briefs().get(n);
    row.dataset.state = brief ? 'full' : 'waiting';
    if (!brief) return;
    const title = brief.title || say('untitled');
    const tags = brief.tags.map(({ label }) => label).join(words.comma);
    row.querySelector('.ex-row-title').textContent = title;
    row.querySelector('.ex-row-tags').textContent = tags;
    row.setAttribute('aria-label', tags ? title + words.comma + tags : title);
  };
  const makeRow = (n, index) => {
    const row = make('li', 'ex-row');
    row.setAttribute('role', 'option');
    row.dataset.number = n;
    row.tabIndex = index === current ? 0 : -1;
    const picture = make('img');
    picture.alt = '';
    picture.loading = 'lazy';
    picture.draggable = false;
    picture.src = image(n);
    const check = make('span', 'ex-check');
    check.title = say('pick');
    row.append(picture, make('span', 'ex-row-title'), make('span', 'ex-row-tags'), check);
    row.setAttribute('aria-selected', String(holds(n)));
    fill(row, n);
    return row;
  };
  /** Make more rows; what is said of them is fetched and filled in when it comes. */
  const grow = async () => {
    if (made >= numbers.length) return;
    const mine = turn;
    const first = made === 0;
    const part = numbers.slice(made, made + AT_ONCE);
    const rows = part.map((n, i) => makeRow(n, made + i));
    made += part.length;
    places.list.append(...rows);
    try {
      await briefs().want(part);
    } catch { /* the pictures are there without their words */ }
    if (mine !== turn) return;
    rows.forEach((row, i) => fill(row, part[i]));
    if (first) places.pane.dataset.state = 'done';
  };
  const go = async (index, focus = true) => {
    while (index >= made && made < numbers.length) grow();
    index = Math.max(0, Math.min(made - 1, index));
    if (rowAt(current)) rowAt(current).tabIndex = -1;
    current = index;
    const row = rowAt(index);
    if (!row) return;
    row.tabIndex = 0;
    if (focus) row.focus();
  };

  places.list.addEventListener('keydown', (event) => {
    const row = event.target.closest('.ex-row');
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = [...places.list.children].indexOf(row);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -made, End: made };
    if (event.key in steps) {
      if (event.key === 'ArrowUp' && index === 0) places.above.focus();
      else go(Math.max(0, Math.min(index + steps[event.key], numbers.length - 1, made + AT_ONCE)));
    } else if (event.key === 'Enter') {
      open(Number(row.dataset.number));
    } else if (event.key === ' ') {
      pick(Number(row.dataset.number));
    } else {
      return;
    }
    event.preventDefault();
  });
  places.list.addEventListener('click', (event) => {
    const row = event.target.closest('.ex-row');
    if (!row) return;
    go([...places.list.children].indexOf(row), false);
    (event.target.closest('.ex-check') ? pick : open)(Number(row.dataset.number));
  });
  const pointed = (event) => {
    const row = event.target.closest?.('.ex-row');
    if (row) point(Number(row.dataset.number));
  };
  places.list.addEventListener('focusin', pointed);
  places.list.addEventListener('pointerover', pointed);
  places.list.addEventListener('focusout', () => point(null));
  places.list.addEventListener('pointerleave', () => point(null));

  const end = make('div', 'ex-end');
  places.list.after(end);
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) grow();
  }, { root: null, rootMargin: '400px' }).observe(end);

  return {
    get numbers() { return numbers; },
    show(found) {
      turn++;
      numbers = found;
      made = current = 0;
      places.list.replaceChildren();
      places.pane.dataset.state = numbers.length ? 'loading' : 'done';
      places.pane.scrollTop = 0;
      grow();
    },
    /** Those that are selected have changed. */
    mark() {
      for (const row of places.list.children) row.setAttribute('aria-selected', String(holds(Number(row.dataset.number))));
    },
    /** To the row of a picture, or the first one. */
    focus(n = null) {
      go(n === null ? 0 : Math.max(0, numbers.indexOf(n)));
    },
  };
}
