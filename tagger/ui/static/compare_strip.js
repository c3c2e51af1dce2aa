/* Pictures in an order that changes before one's eyes: each glides to its new place. */
const GLIDE = 520; // milliseconds
const ROSE = 2_200; // milliseconds that the mark of one that rose is to be seen

/** `image(number, hash)` is where a picture is, `open(brief)` follows a click on one. */
function createStrip(list, { image, open, key = 'rank' }) {
  const tiles = new Map(); // number -> {item, button, picture, rank}
  let shownHash = '';
  const still = matchMedia('(prefers-reduced-motion: reduce)');

  const makeTile = (number, hash) => {
    const item = make('li', 'cp-tile');
    const button = make('button', 'cp-tile-button');
    button.type = 'button';
    button.dataset.number = number;
    const picture = make('img');
    picture.alt = '';
    picture.draggable = false;
    picture.loading = 'lazy';
    picture.src = image(number, hash);
    const tile = {
      item, button, brief: null, rank: -1, place: make('span', 'cp-place'), rose: make('span', 'cp-rose', '▲'),
    };
    for (const part of [tile.place, tile.rose]) part.setAttribute('aria-hidden', 'true');
    button.append(picture, tile.place, tile.rose);
    button.addEventListener('click', () => open(tile.brief));
    item.append(button);
    return tile;
  };

  return {
    /** Show briefs in their order; `move` false puts them there without a way. */
    show(pictures, hash, { move = true } = {}) {
      if (hash !== shownHash) {
        tiles.clear();
        list.replaceChildren();
        shownHash = hash;
      }
      const before = new Map();
      for (const [number, tile] of tiles) before.set(number, tile.item.getBoundingClientRect());
      const first = !tiles.size;
      const had = list.contains(document.activeElement) ? document.activeElement : null;
      const wanted = new Set(pictures.map(({ number }) => number));
      for (const number of [...tiles.keys()]) {
        if (!wanted.has(number)) tiles.delete(number);
      }
      const old = new Map();
      pictures.forEach((brief, rank) => {
        const tile = tiles.get(brief.number) ?? makeTile(brief.number, hash);
        tiles.set(brief.number, tile);
        old.set(brief.number, tile.rank);
        tile.rank = rank;
        tile.brief = brief;
        write(tile.place, String(rank + 1));
        const title = brief.title || say('untitled');
        tile.button.title = title;
        tile.button.setAttribute('aria-label', say(key, { rank: rank + 1, title }));
      });
      const items = pictures.map(({ number }) => tiles.get(number).item);
      if (items.length !== list.children.length || items.some((item, i) => item !== list.children[i])) {
        list.replaceChildren(...items);
        // What is moved in the page loses the focus.
        if (had?.isConnected) had.focus({ preventScroll: true });
        else if (had) items[0]?.firstChild.focus({ preventScroll: true });
      }
      list.dataset.order = pictures.map(({ number }) => number).join(' ');
      if (!move || still.matches || !list.offsetParent) return;
      for (const { number } of pictures) {
        const { item, rose, rank } = tiles.get(number);
        const from = before.get(number);
        const to = item.getBoundingClientRect();
        const [x, y] = from ? [from.x - to.x, from.y - to.y] : [0, 0];
        if (from && (x || y)) {
          item.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: 'none' }],
            { duration: GLIDE, easing: 'cubic-bezier(0.2, 0.7, 0.2, 1)' });
        } else if (!from) {
          item.animate([{ opacity: 0, transform: 'scale(0.7)' }, { opacity: 1, transform: 'none' }],
            { duration: GLIDE, easing: 'ease-out' });
        }
        if (!first && (!from || rank < old.get(number))) {
          rose.animate([{ opacity: 1 }, { opacity: 1, offset: 0.6 }, { opacity: 0 }], { duration: ROSE });
        }
      }
    },
  };
}
