/* One picture: what it shows, what is said of it, where it lies, and what it is truly like.
 *
 * What was looked at is a history: an entry is {number} of the map, or {mine} with what the server
 * said of a picture of the visitor's own.
 */
const COSINE_PLACES = 2;
const BARS = 5; // of tags, at first

/** A tag that leads to its pictures. */
function tagButton(entry, see, className = 'ex-chip') {
  const button = make('button', className);
  button.type = 'button';
  button.textContent = entry.label;
  button.title = say('tag_see', entry);
  button.setAttribute('aria-label', button.title);
  button.addEventListener('click', () => see(entry.tag));
  return button;
}

/** Tags with how sure the model is of each, as bars. */
function tagBars(tags, see) {
  const list = make('ul', 'ex-bars');
  list.setAttribute('role', 'list');
  for (const entry of tags) {
    const item = make('li');
    const button = tagButton(entry, see, 'ex-bar-row');
    const share = percent(entry.probability);
    const fill = make('i');
    fill.style.inlineSize = `${100 * entry.probability}%`;
    const bar = make('span', 'ex-track');
    bar.append(fill);
    button.replaceChildren(make('span', 'ex-bar-label', entry.label), bar, make('span', 'ex-bar-share', share));
    button.dataset.passes = String(entry.passes !== false);
    button.title = say('tag_see_share', { label: entry.label, percent: share }) +
      (entry.passes === false ? words.gap + say('below') : '');
    button.setAttribute('aria-label', button.title);
    item.append(button);
    list.append(item);
  }
  return list;
}

/** How far a place on the map can be trusted, in words and by a colour. */
function trustLine(value, { high, middle }, key, told) {
  const level = value >= high ? 'high' : value >= middle ? 'middle' : 'low';
  const line = make('p', 'ex-place');
  line.dataset.trust = level;
  const sentences = { high: 'place_high', middle: 'place_middle', low: 'place_low' };
  line.append(make('i'), say(sentences[level]) + words.gap + say(key, told));
  return line;
}

/**
 * `places` holds the elements. `load(number)` returns a promise of what is known of a picture,
 * `image(number)` where it is; `shown(entry, told)` follows what is shown (null: nothing), `see(tag)`
 * leads to a tag's pictures, `edits()` are the visitor's changes, `labelOf(name)` a tag's label and
 * `sourceOf(name)` a source's.
 */
function createDetail({ places, load, image, trust, share, shown, see, edits, labelOf, sourceOf, failed, peek }) {
  let trail = [];
  let at = -1;
  let told = null; // of the entry that is shown
  let stood = -1; // and its place
  let turn = 0;

  const heading = (key) => make('h4', '', say(key));
  const chips = (entries, className) => {
    const list = make('ul', className);
    list.setAttribute('role', 'list');
    for (const node of entries) {
      const item = make('li');
      item.append(node);
      list.append(item);
    }
    return list;
  };

  /** The first of them, and the others when they are asked for: what follows is worth seeing, too. */
  const bars = (tags) => {
    const list = tagBars(tags.slice(0, BARS), see);
    if (tags.length <= BARS + 1) return [tagBars(tags, see)];
    const more = make('button', 'tg-quiet ex-more', say('more'));
    more.type = 'button';
    more.addEventListener('click', () => {
      const whole = tagBars(tags, see);
      list.replaceWith(whole);
      more.remove();
      whole.children[BARS].firstChild.focus();
    });
    return [list, more];
  };
  const neighbours = (found) => {
    const list = make('ul', 'ex-neighbours');
    list.setAttribute('role', 'list');
    for (const near of found) {
      const item = make('li');
      const button = make('button', 'ex-neighbour');
      button.type = 'button';
      button.dataset.number = near.number;
      const picture = make('img');
      picture.alt = '';
      picture.loading = 'lazy';
      picture.src = image(near.number);
      const cosine = near.cosine.toFixed(COSINE_PLACES);
      const shared = (near.shared ?? []).map(({ label }) => label).join(words.comma);
      button.append(picture, make('span', 'ex-cosine', cosine), make('span', 'ex-in-common', shared || say('nothing')));
      const title = near.title || say('untitled');
      button.title = say(shared ? 'neighbour' : 'neighbour_plain', { title, cosine, tags: shared });
      button.setAttribute('aria-label', button.title);
      button.addEventListener('click', () => open({ number: near.number }));
      for (const name of ['pointerenter', 'focus']) button.addEventListener(name, () => peek(near.number));
      for (const name of ['pointerleave', 'blur']) button.addEventListener(name, () => peek(null));
      item.append(button);
      list.append(item);
    }
    return [heading('neighbours'), make('p', 'ex-hint', say('neighbours_hint')), list];
  };

  const changesOf = (number) => {
    const { added, removed } = edits().of(number);
    if (!added.length && !removed.length) return [];
    const nodes = [...added.map((tag) => [tag, 'your_tag']), ...removed.map((tag) => [tag, 'your_untag'])]
      .map(([tag, key]) => {
        const chip = make('span', 'ex-chip ex-mark');
        chip.dataset.kind = key;
        chip.append(make('b', '', labelOf(tag)), make('small', '', say(key)));
        return chip;
      });
    return [heading('changes'), chips(nodes, 'ex-chips')];
  };

  const paper = (source, title) => {
    const figure = make('div', 'ex-paper');
    const picture = make('img');
    picture.src = source;
    picture.alt = title;
    // What the browser cannot decode (HEIC, TIFF) has its name there.
    picture.addEventListener('error', () => { figure.textContent = title; });
    figure.append(picture);
    return figure;
  };

  const drawPicture = (detail) => {
    const facts = detail.metadata ?? {};
    const title = detail.title || say('untitled');
    const line = make('p', 'ex-byline');
    const parts = [
      detail.author && say('by', { author: detail.author }), facts.licence, sourceOf(detail.source),
      facts.width && say('size', facts),
    ].filter(Boolean);
    line.textContent = parts.join(words.separator);
    if (/^https?:\/\//.test(facts.url ?? '')) {
      const link = make('a', '', say('original'));
      link.href = facts.url;
      link.target = '_blank';
      link.rel = 'noopener noreferrer';
      line.append(words.separator, link);
    }
    const given = detail.tags.filter((entry) => entry.given);
    const predicted = detail.tags.filter((entry) => !entry.given);
    const known = new Set(given.flatMap(({ name, label }) => [name, label]));
    const raw = (facts.given ?? []).filter((tag) => !known.has(tag));
    const said = given.length || raw.length ? [heading('given')] : [];
    if (given.length) said.push(chips(given.map((entry) => tagButton(entry, see)), 'ex-chips'));
    if (raw.length) said.push(make('p', 'ex-hint', given.length
      ? say('given_raw', { tags: raw.join(words.comma) }) : raw.join(words.comma)));
    const guessed = predicted.length ? [heading('predicted'), ...bars(predicted)] : [];
    places.body.replaceChildren(
      paper(image(detail.number), title), make('h3', '', title), line, ...said, ...guessed,
      ...changesOf(detail.number), heading('place'), trustLine(detail.trust, trust, 'place_trust', { value: detail.trust.toFixed(2) }),
      ...neighbours(detail.neighbours),
    );
  };

  const drawMine = ({ mine }) => {
    const { name, url, answer } = mine;
    const by = make('p', 'ex-byline', say(answer.by === 'umap' ? 'mine_umap' : 'mine_neighbours') +
      words.gap + say('mine_private'));
    places.body.replaceChildren(
      paper(url, name), make('h3', '', say('mine')), make('p', 'ex-byline', name), by,
      heading('mine_tags'), ...bars(answer.tags),
      heading('place'), trustLine(answer.trust, share, 'place_share', { share: percent(answer.trust) }),
      ...neighbours(answer.neighbours),
    );
  };

  const draw = () => {
    if (told) (trail[at].mine ? drawMine : drawPicture)(told);
  };
  const showNav = () => {
    places.back.disabled = at <= 0;
    places.forward.disabled = at >= trail.length - 1;
    for (const node of [places.locate, places.add]) node.hidden = at < 0;
    places.add.hidden ||= Boolean(trail[at]?.mine);
  };

  const show = async () => {
    const mine = ++turn;
    const entry = trail[at];
    showNav();
    if (!entry) {
      told = null;
      places.pane.dataset.state = 'none';
      places.body.replaceChildren();
      shown(null);
      return;
    }
    places.pane.dataset.state = 'loading';
    shown(entry, null);
    let found = null;
    try {
      found = entry.mine ? entry : await load(entry.number);
    } catch (error) {
      if (mine !== turn) return;
      // What is still to be read is what was there before; the other one is a step forward from it.
      at = stood;
      showNav();
      places.pane.dataset.state = told ? 'done' : 'none';
      if (told) shown(trail[at], told);
      failed(error, () => open(entry));
      return;
    }
    if (mine !== turn) return;
    told = found;
    stood = at;
    draw();
    places.pane.scrollTop = 0;
    places.pane.dataset.state = 'done';
    places.pane.dataset.number = entry.number ?? 'mine';
    shown(entry, told);
  };
  const same = (a, b) => a && b && (a.mine ? a.mine === b.mine : a.number === b.number);
  const open = (entry) => {
    if (!same(trail[at], entry)) {
      for (const { mine } of trail.slice(at + 1)) if (mine) URL.revokeObjectURL(mine.url);
      trail = [...trail.slice(0, at + 1), entry];
      at = trail.length - 1;
    }
    return show();
  };
  const go = (by) => {
    if (!trail[at + by]) return;
    at += by;
    show();
    const pressed = by < 0 ? places.back : places.forward;
    if (pressed.disabled) (by < 0 ? places.forward : places.back).focus();
  };
  places.back.addEventListener('click', () => go(-1));
  places.forward.addEventListener('click', () => go(1));
  showNav();

  return {
    open,
    get entry() { return trail[at] ?? null; },
    get told() { return told; },
    /** The visitor's changes are others now. */
    redraw: draw,
    forget() {
      for (const { mine } of trail) if (mine) URL.revokeObjectURL(mine.url);
      trail = [];
      at = stood = -1;
      return show();
    },
  };
}
