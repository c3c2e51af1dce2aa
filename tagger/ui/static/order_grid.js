/* The pictures in their order: as many as there are, of which only those near the window are drawn.
 *
 * Tiles have places, so the whole is as high from the start as it ever will be, and a picture that
 * rises glides to its new place.
 */
const TILE_GAP = 14;
const TILE_WIDTH = { wide: 150, narrow: 132 }; // at least
const CAPTION = 54; // below a square picture
const MARGIN = 500; // pixels beside the window in which tiles are made ready
const GLIDE = 320; // milliseconds

/**
 * `list` is an element. `fill(tile, item)` writes what a tile says; `open(index)` shows a picture. Items
 * are {id, file}; their pictures come from their files and are let go when they leave.
 */
function createGrid({ list, fill, open }) {
  let items = [];
  let place = new Map(); // item -> index
  let columns = 1;
  let width = 0;
  let current = 0; // the index that the Tab key comes to
  let planned = 0;
  const tiles = new Map(); // item -> {node, button, url, at}
  const still = matchMedia('(prefers-reduced-motion: reduce)');

  const spot = (index) => {
    const side = (width - TILE_GAP * (columns - 1)) / columns;
    return [
      Math.round((index % columns) * (side + TILE_GAP)),
      Math.floor(index / columns) * (Math.floor(side) + CAPTION + TILE_GAP),
    ];
  };
  const measure = () => {
    width = list.clientWidth;
    const least = width < 500 ? TILE_WIDTH.narrow : TILE_WIDTH.wide;
    columns = Math.max(2, Math.floor((width + TILE_GAP) / (least + TILE_GAP)));
    const side = Math.floor((width - TILE_GAP * (columns - 1)) / columns);
    list.style.setProperty('--od-side', `${side}px`);
    const rows = Math.ceil(items.length / columns);
    list.style.blockSize = rows ? `${rows * (side + CAPTION + TILE_GAP) - TILE_GAP}px` : '0';
    return side + CAPTION + TILE_GAP;
  };

  const makeTile = (item) => {
    const node = make('li', 'od-tile');
    const button = make('button', 'od-open');
    button.type = 'button';
    const frame = make('span', 'od-frame');
    const picture = make('img', 'od-picture');
    picture.alt = '';
    picture.decoding = 'async';
    picture.draggable = false;
    const url = URL.createObjectURL(item.file);
    picture.addEventListener('load', () => { node.dataset.preview = 'shown'; });
    picture.addEventListener('error', () => { node.dataset.preview = 'impossible'; });
    picture.src = url;
    frame.append(picture, make('span', 'od-kind', suffixOf(item.file.name).toUpperCase()));
    const caption = make('span', 'od-caption');
    caption.append(make('span', 'od-rank'), make('span', 'od-score'), make('span', 'od-name'));
    button.append(frame, caption);
    button.addEventListener('click', () => open(place.get(item)));
    button.addEventListener('focus', () => {
      stop(place.get(item));
      current = place.get(item);
    });
    node.append(button);
    const tile = { node, button, url, at: null };
    tiles.set(item, tile);
    return tile;
  };
  const dropTile = (item) => {
    const { node, url } = tiles.get(item);
    node.remove();
    URL.revokeObjectURL(url);
    tiles.delete(item);
  };
  const stop = (index) => {
    for (const [item, { button }] of tiles) button.tabIndex = place.get(item) === index ? 0 : -1;
  };

  const draw = (glide) => {
    planned = 0;
    if (!list.isConnected || list.offsetParent === null) return;
    const row = measure();
    const top = list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((-MARGIN - top) / row)) * columns;
    const last = Math.min(items.length, Math.ceil((innerHeight + MARGIN - top) / row) * columns);
    const wanted = new Set(items.slice(first, Math.max(first, last)));
    // Who walks by keys goes on from where they are, though it may be out of sight.
    const focused = [...tiles].find(([, { button }]) => button === document.activeElement)?.[0];
    if (focused && place.has(focused)) wanted.add(focused);
    for (const item of [...tiles.keys()]) if (!wanted.has(item)) dropTile(item);
    const shown = [...wanted].sort((a, b) => place.get(a) - place.get(b));
    let before = null;
    for (const item of shown) {
      const known = tiles.get(item);
      const { node, button, at } = known ?? makeTile(item);
      const [x, y] = spot(place.get(item));
      const here = `translate(${x}px, ${y}px)`;
      const after = before ? before.nextSibling : list.firstChild;
      if (after !== node) list.insertBefore(node, after);
      if (at !== here) {
        node.style.transform = here;
        if (at && glide && !still.matches) {
          node.animate([{ transform: at }, { transform: here }], { duration: GLIDE, easing: 'ease-out' });
        }
        tiles.get(item).at = here;
      }
      node.setAttribute('aria-setsize', items.length);
      node.setAttribute('aria-posinset', place.get(item) + 1);
      fill({ node, button }, item);
      before = node;
    }
    if (focused && document.activeElement === document.body) {
      tiles.get(focused)?.button.focus({ preventScroll: true });
    }
    current = Math.min(current, Math.max(0, items.length - 1));
    stop(current);
  };
  const plan = () => { planned ||= requestAnimationFrame(() => draw(false)); };

  list.addEventListener('keydown', (event) => {
    const at = [...tiles].find(([, { button }]) => button === event.target)?.[0];
    if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = place.get(at);
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
      Home: -items.length, End: items.length,
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    grid.focus(Math.min(items.length - 1, Math.max(0, here + step)));
  });
  addEventListener('scroll', plan, { passive: true, capture: true });
  addEventListener('resize', plan, { passive: true });
  new ResizeObserver(plan).observe(list);

  const grid = {
    get items() { return items; },
    /** Show these, in this order. */
    show(next) {
      items = next;
      place = new Map(items.map((item, index) => [item, index]));
      draw(true);
    },
    /** What the tiles say has changed, but not their order. */
    refresh: plan,
    /** To the tile at an index, wherever it is. */
    focus(index) {
      const item = items[index];
      if (!item) return;
      const [, y] = spot(index);
      const top = list.getBoundingClientRect().top + y;
      const height = measure() - TILE_GAP;
      if (top < 8) scrollBy(0, top - 8);
      else if (top + height > innerHeight - 8) scrollBy(0, top + height - innerHeight + 8);
      document.activeElement?.blur?.();
      draw(false);
      current = index;
      stop(index);
      tiles.get(item)?.button.focus({ preventScroll: true });
    },
  };
  return grid;
}
