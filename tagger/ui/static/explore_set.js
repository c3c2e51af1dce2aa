/* The pictures that are selected: what they share, all of them, out into a file, and their tags. */
const SHARED_AT_ONCE = 8;
const TILES_AT_ONCE = 60;

/**
 * `places` holds the elements. `ask(mask)` returns a promise of what the set shares, `save(mask,
 * format)` writes a file and resolves with its name, `tags()` are the known ones, `edits()` the
 * visitor's changes, `open(n)` shows a picture, `see(tag)` a tag's pictures, `told(text)` is heard.
 */
function createSet({ places, ask, save, image, briefs, tags, nameOf, labelOf, edits, open, see, told, failed }) {
  let mask = null;
  let numbers = [];
  let tiles = 0;
  let shared = [];
  let whole = false; // all that is shared is shown
  let turn = 0;

  const able = (node, on) => node.setAttribute('aria-disabled', String(!on));
  const isAble = (node) => node.getAttribute('aria-disabled') !== 'true';

  // --- what they share ---

  const factor = (lift) => lift >= 10 ? amount(Math.round(lift)) : lift.toFixed(1);
  const showShared = () => {
    const some = whole ? shared : shared.slice(0, SHARED_AT_ONCE);
    places.shared.replaceChildren(...some.map((entry) => {
      const item = make('li');
      // The figures are the gallery's; what the visitor has removed from all is struck out.
      item.dataset.removed = String(edits().removedFrom(nameOf(entry.tag), mask) === numbers.length);
      const button = tagButton(entry, see, 'ex-share');
      const fill = make('i');
      fill.style.inlineSize = `${100 * entry.here / numbers.length}%`;
      const bar = make('span', 'ex-track');
      bar.append(fill);
      const many = entry.here === numbers.length
        ? say('shared_all') : say('shared_line', { here: amount(entry.here), count: amount(numbers.length) });
      const lift = entry.here === entry.everywhere ? say('lift_only')
        : say('lift', { lift: factor(entry.lift) });
      const told = entry.here === entry.everywhere ? lift : say('lift_times', { lift: factor(entry.lift) });
      button.replaceChildren(
        make('span', 'ex-bar-label', entry.label), make('span', 'ex-bar-share', many), bar,
        make('span', 'ex-lift', lift),
      );
      button.setAttribute('aria-label', [entry.label, many, told].join(words.comma));
      button.title = told;
      const out = make('button', 'ex-icon ex-minus');
      out.type = 'button';
      out.textContent = '−';
      out.title = say('tag_remove_this', entry);
      out.setAttribute('aria-label', out.title);
      out.addEventListener('click', () => {
        const place = [...places.shared.children].indexOf(item);
        change('remove', nameOf(entry.tag));
        places.shared.children[place]?.firstChild.focus({ preventScroll: true });
      });
      item.append(button, out);
      return item;
    }));
    if (!shared.length) places.shared.replaceChildren(make('li', 'ex-hint', say('set_shared_none')));
    places.more.hidden = whole || shared.length <= SHARED_AT_ONCE;
  };
  places.more.addEventListener('click', () => {
    whole = true;
    showShared();
    places.shared.children[SHARED_AT_ONCE].firstChild.focus();
  });

  // --- all of them ---

  const growSheet = async () => {
    const part = numbers.slice(tiles, tiles + TILES_AT_ONCE);
    tiles += part.length;
    const made = part.map((n) => {
      const item = make('li');
      const button = make('button', 'ex-tile');
      button.type = 'button';
      button.dataset.number = n;
      const picture = make('img');
      picture.alt = '';
      picture.loading = 'lazy';
      picture.src = image(n);
      button.append(picture);
      button.addEventListener('click', () => open(n));
      item.append(button);
      return item;
    });
    places.sheet.append(...made);
    try {
      await briefs().want(part);
    } catch { /* the pictures are there without their titles */ }
    made.forEach((item, i) => {
      const title = briefs().get(part[i])?.title || say('untitled');
      item.firstChild.title = title;
      item.firstChild.setAttribute('aria-label', title);
    });
  };
  const end = make('div', 'ex-end');
  places.sheet.after(end);
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && tiles < numbers.length) growSheet();
  }, { rootMargin: '400px' }).observe(end);

  // --- tags of all ---

  const known = (text) => named(tags(), text)?.name ?? text;
  const ready = () => {
    for (const node of [places.add, places.remove]) able(node, Boolean(mask && picker.text));
  };
  const complete = (query) => {
    const own = edits().tags.filter((tag) => !tags().some(({ name }) => name === tag))
      .map((tag) => ({ name: tag, label: tag, learnt: true }));
    return fitting([...own, ...tags()], query, FOUND_TAGS)
      .map(({ name, label, learnt = false }) => ({ word: name, label, learnt }));
  };
  const picker = createPicker(places.field, places.list, {
    ask: async (query) => complete(query),
    changed: () => ready(),
    entered: () => places.add.click(),
  });
  const sentence = (step) => say(step.kind === 'add' ? 'change_add' : 'change_remove',
    { tag: labelOf(step.tag), count: amount(step.count) });
  const change = (kind, tag) => {
    const step = edits().apply(kind, tag, mask);
    told(sentence(step));
  };
  for (const [node, kind] of [[places.add, 'add'], [places.remove, 'remove']]) {
    node.addEventListener('click', () => {
      if (!isAble(node) || !mask) return;
      change(kind, known(picker.text));
      picker.text = '';
      places.field.focus({ preventScroll: true });
    });
  }
  places.undo.addEventListener('click', () => {
    const step = isAble(places.undo) && edits().undo();
    if (step) told(say('undone', { change: sentence(step) }));
  });
  places.redo.addEventListener('click', () => {
    const step = isAble(places.redo) && edits().redo();
    if (step) told(say('redone', { change: sentence(step) }));
  });
  const showChanges = () => {
    const { steps, canUndo, canRedo, kept } = edits();
    places.changes.hidden = !steps.length && !canRedo;
    places.changeList.replaceChildren(...[...steps].reverse().map((step) => {
      const item = make('li', '', sentence(step));
      item.dataset.kind = step.kind;
      return item;
    }));
    places.note.textContent = say(kept ? 'changes_note' : 'changes_lost');
    able(places.undo, canUndo);
    able(places.redo, canRedo);
    places.changesExport.hidden = !steps.length;
    if (mask && places.pane.dataset.state === 'done') showShared();
  };

  // --- files ---

  const write = async (button, of, format) => {
    if (!isAble(button)) return;
    able(button, false);
    button.textContent = say('exporting');
    try {
      told(say('exported', { name: await save(of, format) }));
    } catch (error) {
      failed(error);
    }
    able(button, true);
    button.textContent = say(button.dataset.word);
  };
  for (const button of places.exports) {
    button.addEventListener('click', () => { if (mask) write(button, mask, button.dataset.format); });
  }
  places.changesExport.addEventListener('click', () =>
    write(places.changesExport, edits().touched(), 'json'));

  return {
    showChanges,
    /** Another set; null for none. */
    async show(next) {
      const mine = ++turn;
      mask = next;
      numbers = mask ? numbersOf(mask) : [];
      ready();
      tiles = 0;
      places.sheet.replaceChildren();
      if (!mask) {
        places.pane.dataset.state = 'none';
        return;
      }
      places.pane.dataset.state = 'loading';
      places.count.textContent = say(numbers.length === 1 ? 'set_one' : 'set_count', { count: amount(numbers.length) });
      if (!shared.length) places.shared.replaceChildren(make('li', 'ex-hint', say('set_busy')));
      growSheet();
      let answer = null;
      try {
        answer = await ask(mask);
      } catch (error) {
        if (mine !== turn) return;
        shared = [];
        places.shared.replaceChildren();
        places.pane.dataset.state = 'failed';
        failed(error, () => show(next));
        return;
      }
      if (mine !== turn) return;
      shared = answer.shared;
      whole = false;
      showShared();
      places.pane.dataset.state = 'done';
      places.pane.dataset.count = numbers.length;
    },
  };
}
