/* The Explore tab in the browser, after common.js, the map and the parts the panel is made of.
 *
 * A map has facts, points and a hash; the numbers of its pictures are good for that hash. Whoever
 * asks with an old one is told so, and the map is loaded anew without a word of blame.
 */
const base = new URL((window.gradio_config?.root ?? new URL('.', document.baseURI).href) + '/');
const ALL_BRIEFS = 4_000; // up to so many pictures, what is said of them is fetched ahead
const NEAR = 24; // pictures around the pointer that are fetched ahead
const KEPT = 300; // pictures that are kept decoded
const FEW = 150; // in view: all of them are fetched ahead
const AHEAD_REST = 40; // milliseconds between two looks at what is around the pointer
const VIEW_REST = 150; // milliseconds of rest before one at what is in view
const TYPING = 120; // milliseconds of rest before a search is sent
const LOOK_AGAIN = 1_500; // milliseconds between two looks at a map that is being made

const stage = find('.ex-stage');
const root = find('.ex-map');
const panel = find('.ex-panel');
const card = find('.ex-hover');
const problem = find('.tg-problem');
const query = find('.ex-query');
const listPane = find('.ex-list-pane');
const news = find('.tg-news');

translate({});
find('.ex-upload').title = say('by_picture_title');

let mapName = 'gallery';
let facts = null;
let points = null;
let briefs = createBriefs(async () => []);
let edits = createEdits('', 0, () => {});
let visible = null;
let pointed = null; // a picture that the list points at
let peeked = null; // one of the neighbours that is pointed at
let selection = null; // a mask, or null for none
let looking = 0; // number of the map that is being loaded
let listed = { kind: 'all' }; // what the list is of: all, a query's answer or a tag
const tagFacts = new Map(); // number -> {tag, name, label}

const source = createSource({ base, lang, noAnswer: say('no_answer') });
const hash = () => facts?.hash ?? '';
const image = (n) => source.image(mapName, hash(), n);
const here = () => element.isConnected && element.offsetParent !== null;

// --- messages ----------------------------------------------------------------------------------------

let again = null;
function showProblem(message, retry = null) {
  again = retry;
  problem.hidden = false;
  find('.tg-message').textContent = message;
  find('.tg-retry').hidden = !retry;
}
function hideProblem() {
  problem.hidden = true;
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', () => { hideProblem(); query.focus({ preventScroll: true }); });
find('.tg-retry').addEventListener('click', () => {
  hideProblem();
  again?.();
});
/** What went wrong, to be shown, or mended where it can be. */
function failed(error, retry = null) {
  if (error.code === 'explore-stale') {
    loadMap(mapName, { quiet: true });
    return;
  }
  if (!(error instanceof Refusal)) throw error;
  showProblem(error.message, error.again ? retry : null);
}

// --- the panel's parts -------------------------------------------------------------------------------

const tabs = Object.fromEntries(findAll('.ex-tabs [role=tab]').map((node) => [node.dataset.tab, node]));
function showTab(name, focus = false) {
  panel.dataset.tab = name;
  pointed = peeked = null;
  for (const [each, node] of Object.entries(tabs)) {
    node.setAttribute('aria-selected', String(each === name));
    node.tabIndex = each === name ? 0 : -1;
    find(`#${node.getAttribute('aria-controls')}`).hidden = each !== name;
  }
  if (focus) tabs[name].focus();
  showFocus();
}
for (const node of Object.values(tabs)) node.addEventListener('click', () => showTab(node.dataset.tab));
find('.ex-tabs').addEventListener('keydown', (event) => {
  const names = Object.keys(tabs);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  showTab(names[(names.indexOf(panel.dataset.tab) + step + names.length) % names.length], true);
});

/** What the map points out: what the list is at, or the picture of the details with its neighbours. */
function showFocus() {
  const told = panel.dataset.tab === 'detail' ? detail.told : null;
  const lines = (told?.mine?.answer ?? told)?.neighbours.map(({ number }) => number) ?? [];
  const number = told ? detail.entry.number ?? null : pointed;
  map.setFocus(number, { lines: peeked === null ? lines : [peeked] });
  stage.dataset.focus = number ?? (told ? 'mine' : '');
  stage.dataset.lines = lines.length;
}

let marked = null; // the visitor's picture whose mark is on the map
const detail = createDetail({
  places: {
    pane: find('.ex-detail'), body: find('.ex-detail-body'), back: find('.ex-back'),
    forward: find('.ex-forward'), locate: find('.ex-locate'), add: find('.ex-add'),
  },
  async load(number) {
    const found = await source.detail(mapName, hash(), number);
    learnTags(found.tags);
    if (mapName === 'gallery') {
      for (const entry of found.tags) entry.passes = entry.probability >= props.thresholds[entry.tag];
    }
    return found;
  },
  image,
  trust: props.trust,
  share: props.share,
  see: seeTag,
  edits: () => edits,
  labelOf,
  sourceOf: (name) => facts.legends.source.find((entry) => entry.name === name)?.label ?? name,
  failed,
  peek(n) {
    peeked = n;
    showFocus();
  },
  shown(entry, told) {
    peeked = null;
    showAdd();
    if (entry && !told) return;
    const mine = entry?.mine ?? null;
    if (mine && mine !== marked) map.setMarker({ x: mine.answer.position[0], y: mine.answer.position[1] });
    marked = mine ?? marked;
    showFocus();
    const around = (mine?.answer ?? told)?.neighbours ?? [];
    briefs.want(around.map(({ number }) => number)).catch(() => {});
  },
});

const list = createList({
  places: { pane: listPane, list: find('.ex-list'), above: query },
  briefs: () => briefs,
  image,
  open: (n) => openPicture(n, true),
  pick,
  holds: (n) => Boolean(selection?.[n]),
  point(n) {
    pointed = n;
    showFocus();
  },
});

const set = createSet({
  places: {
    pane: find('.ex-set'), count: find('.ex-set-count'), shared: find('.ex-shared'),
    more: find('.ex-shared-more'), sheet: find('.ex-sheet'), field: find('.ex-set-tag'),
    list: find('#ex-set-list'), add: find('.ex-set-add'), remove: find('.ex-set-remove'),
    undo: find('.ex-undo'), redo: find('.ex-redo'), changes: find('.ex-changes'),
    changeList: find('.ex-change-list'), note: find('.ex-note'),
    changesExport: find('.ex-changes-export'), exports: findAll('.ex-exports [data-format]'),
  },
  ask: (mask) => source.selection(mapName, hash(), packMask(mask)),
  async save(mask, format) {
    const body = { hash: hash(), mask: packMask(mask), format, edits: edits.within(mask) };
    const { blob, name } = await source.export(mapName, body);
    const link = make('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    return name;
  },
  image,
  briefs: () => briefs,
  tags: () => facts?.tags ?? [],
  nameOf: (tag) => tagFacts.get(tag)?.name ?? String(tag),
  labelOf,
  edits: () => edits,
  open: (n) => openPicture(n),
  see: seeTag,
  told(text) { news.textContent = text; },
  failed,
});

const legend = createLegend({
  places: {
    list: find('.ex-legend'), select: find('.ex-select'), tagBox: find('.ex-tag-box'),
    tag: find('.ex-tag'), shown: find('.ex-shown'), showAll: find('.ex-show-all'),
    setTag(label) { tagPicker.text = label; },
  },
  colours: props.colours,
  trust: props.trust,
  async tagColumn(tag) {
    return new Uint8Array(await source.column(mapName, hash(), `tag-${tag}`));
  },
  tagLabel: (tag) => tagFacts.get(tag)?.label ?? String(tag),
  failed,
  changed(told) {
    const filtered = visible !== told.visible;
    visible = told.visible;
    map.setColours(told.colours);
    map.setVisible(visible);
    if (filtered) showList();
  },
});

const tagPicker = createPicker(find('.ex-tag'), find('#ex-tag-list'), {
  async ask(text) {
    return fitting(facts.tags, text, FOUND_TAGS)
      .map(({ tag, name, label }) => ({ word: name, label, tag, learnt: false }));
  },
  changed() { /* nothing depends on it before one is chosen */ },
  chosen: ({ tag }) => seeTag(tag),
  entered() {
    const exact = named(facts?.tags ?? [], tagPicker.text);
    if (exact) seeTag(exact.tag);
  },
  free: false,
});

function labelOf(name) {
  return facts?.tags.find((entry) => entry.name === name)?.label ?? name;
}
function learnTags(entries) {
  for (const entry of entries) {
    tagFacts.set(entry.tag, { ...tagFacts.get(entry.tag), ...entry });
  }
}

// --- the map -----------------------------------------------------------------------------------------

const map = ExploreMap.create(root, {
  dark: document.body.classList.contains('dark'),
  reduced: matchMedia('(prefers-reduced-motion: reduce)').matches,
  words,
  plotly: props.plotly ? new URL(props.plotly, base).href : null,
});
new MutationObserver(() => {
  map.setTheme({ dark: document.body.classList.contains('dark') });
  legend.repaint();
}).observe(document.body, { attributes: true, attributeFilter: ['class'] });

let shownNumber = -1;
function fillCard(n) {
  const brief = briefs.get(n);
  find('.ex-hover-title').textContent = brief ? brief.title || say('untitled') : '';
  find('.ex-hover-tags').textContent = brief
    ? brief.tags.slice(0, 4).map(({ label }) => label).join(words.comma) : '';
  card.dataset.state = brief ? 'full' : 'waiting';
}
function showCard({ number, x, y }) {
  shownNumber = number;
  card.dataset.number = number;
  const picture = find('.ex-hover-picture');
  const address = image(number);
  if (picture.src !== address) picture.src = address;
  fillCard(number);
  card.hidden = false;
  const [wide, high] = [card.offsetWidth, card.offsetHeight];
  const left = x + 16 + wide > root.clientWidth ? x - 16 - wide : x + 16;
  const top = Math.min(Math.max(8, y - high / 2), Math.max(8, root.clientHeight - high - 8));
  card.style.transform = `translate(${Math.max(8, Math.round(left))}px, ${Math.round(top)}px)`;
  if (!briefs.get(number)) {
    briefs.want([number, ...around(number)])
      .then(() => { if (shownNumber === number) fillCard(number); })
      .catch(() => {});
  }
  ahead.use(number);
  fetchAround();
}
function hideCard() {
  shownNumber = -1;
  card.hidden = true;
}
/** Pictures that lie nearest on the map: the pointer will be on one of them next. */
function around(n, most = NEAR) {
  const near = [];
  for (let other = 0; other < points.count; other++) {
    if (other === n || (visible && !visible[other])) continue;
    const far = (points.x[other] - points.x[n]) ** 2 + (points.y[other] - points.y[n]) ** 2;
    if (near.length < most || far < near.at(-1)[0]) {
      let place = near.length;
      while (place > 0 && near[place - 1][0] > far) place--;
      near.splice(place, 0, [far, other]);
      if (near.length > most) near.pop();
    }
  }
  return near.map(([, other]) => other);
}
const ahead = createAhead({ address: image, most: KEPT });
let aheadTimer = 0;
/** Not at every one of the points that a pointer flies over, but also while it does. */
function fetchAround() {
  if (aheadTimer) return;
  aheadTimer = setTimeout(() => {
    aheadTimer = 0;
    if (!points || shownNumber < 0 || shownNumber >= points.count) return;
    ahead.want([shownNumber, ...around(shownNumber)]);
  }, AHEAD_REST);
}
map.on('hover', showCard);
map.on('leave', hideCard);
let viewTimer = 0;
map.on('view', () => {
  clearTimeout(viewTimer);
  viewTimer = setTimeout(() => {
    if (!points || !here()) return;
    const seen = map.inView(FEW);
    ahead.want(seen);
    briefs.want(seen).catch(() => {});
  }, VIEW_REST);
});
map.on('empty', hideCard);
map.on('click', ({ number }) => openPicture(number));
map.on('select', ({ mask, count }) => {
  select(count ? mask : null, false);
  if (count) showTab('set');
});
map.on('ready', () => {
  if (stage.dataset.state !== 'ready') return;
  stage.dataset.renderer = map.renderer;
});

// --- pictures and sets -------------------------------------------------------------------------------

function openPicture(n, byKey = false) {
  hideProblem();
  showTab('detail');
  const opened = detail.open({ number: n });
  // Whoever came by keys goes on in what has opened, and comes back with Escape.
  if (byKey) opened.then(() => find('.ex-detail-body').focus({ preventScroll: true }));
}
find('.ex-detail').addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  event.preventDefault();
  showTab('list');
  list.focus(detail.entry?.number ?? null);
});

function showAdd() {
  const n = detail.entry?.number;
  const button = find('.ex-add');
  button.textContent = say(n !== undefined && selection?.[n] ? 'remove' : 'add');
}
function select(mask, tellMap = true) {
  selection = mask;
  if (tellMap) map.setSelection(mask);
  const count = mask ? countOf(mask) : 0;
  tabs.set.textContent = count ? say('tab_set_count', { count: amount(count) }) : say('tab_set');
  panel.dataset.selected = count;
  list.mark();
  legend.select(mask);
  showAdd();
  if (mask) news.textContent = say(count === 1 ? 'set_one' : 'set_count', { count: amount(count) });
  return set.show(mask);
}
function pick(n) {
  const mask = selection ? selection.slice() : new Uint8Array(points.count);
  mask[n] = mask[n] ? 0 : 1;
  select(countOf(mask) ? mask : null);
}
find('.ex-add').addEventListener('click', () => {
  if (detail.entry?.number !== undefined) pick(detail.entry.number);
});
find('.ex-locate').addEventListener('click', () => {
  const told = detail.told;
  if (!told) return;
  const near = (told.mine?.answer ?? told).neighbours.map(({ number }) => number);
  map.zoomTo(told.mine ? near : [detail.entry.number, ...near], { withMarker: Boolean(told.mine) });
  stage.scrollIntoView({ block: 'nearest' });
});
find('.ex-set-zoom').addEventListener('click', () => {
  if (!selection) return;
  map.zoomTo(numbersOf(selection));
  stage.scrollIntoView({ block: 'nearest' });
});
find('.ex-set-clear').addEventListener('click', () => {
  select(null);
  tabs.set.focus();
});

// --- the list ----------------------------------------------------------------------------------------

function showList() {
  if (!points) return;
  const all = listed.kind === 'all';
  const whole = all ? Array.from({ length: points.count }, (_, n) => n) : listed.numbers;
  const shown = visible ? whole.filter((n) => visible[n]) : whole;
  const hidden = whole.length - shown.length;
  const told = { count: amount(whole.length), query: listed.query, tag: listed.label };
  find('.ex-list-count').textContent = all
    ? say(visible ? 'list_shown' : 'list_all', { count: amount(shown.length) })
    : listed.kind === 'tag' ? say(whole.length ? 'list_tag' : 'list_tag_none', told)
      : !whole.length ? say(listed.tags.length ? 'list_tags_only' : 'list_none', told)
        : say(listed.more ? 'list_first' : 'list_found', told);
  find('.ex-clear').hidden = all;
  find('.ex-select-found').hidden = !shown.length || (all && !visible);
  find('.ex-list-hidden').textContent = !all && hidden ? say('list_hidden', { count: amount(hidden) }) : '';
  const tags = find('.ex-found-tags');
  tags.hidden = !listed.tags?.length;
  tags.replaceChildren(...(listed.tags ?? []).map((entry) => {
    const item = make('li');
    const button = tagButton(entry, seeTag);
    button.title = say('found_tag', entry);
    button.setAttribute('aria-label', button.title);
    item.append(button);
    return item;
  }));
  listPane.dataset.list = listed.kind;
  list.show(shown);
}
find('.ex-select-found').addEventListener('click', () => {
  select(maskOf(list.numbers, points.count));
  showTab('set');
});
find('.ex-clear').addEventListener('click', () => {
  query.value = '';
  listed = { kind: 'all' };
  showList();
  query.focus({ preventScroll: true });
});

let typed = 0;
let typing = 0;
async function search() {
  clearTimeout(typing);
  const text = query.value.trim();
  const mine = ++typed;
  if (!points) return;
  if (!text) {
    if (listed.kind === 'query') {
      listed = { kind: 'all' };
      showList();
    }
    return;
  }
  listPane.setAttribute('aria-busy', 'true');
  let answer = null;
  try {
    answer = await source.search(mapName, hash(), text);
  } catch (error) {
    if (mine === typed) failed(error, search);
  }
  if (mine !== typed) return;
  listPane.removeAttribute('aria-busy');
  if (!answer) return;
  for (const brief of answer.pictures) briefs.put(brief);
  learnTags(answer.tags);
  listed = {
    kind: 'query', query: text, numbers: answer.pictures.map(({ number }) => number),
    tags: answer.tags.slice(0, FOUND_TAGS), more: answer.pictures.length >= 50,
  };
  showTab('list');
  showList();
  news.textContent = find('.ex-list-count').textContent;
}
query.addEventListener('input', (event) => {
  clearTimeout(typing);
  if (!event.isComposing) typing = setTimeout(search, TYPING);
});
query.addEventListener('compositionend', () => { typing = setTimeout(search, TYPING); });
query.addEventListener('keydown', async (event) => {
  if (event.isComposing) return;
  if (event.key === 'Escape' && query.value) {
    event.preventDefault();
    query.value = '';
    search();
  } else if (event.key === 'Enter' || event.key === 'ArrowDown') {
    event.preventDefault();
    showTab('list');
    const text = query.value.trim();
    if (text && (listed.kind !== 'query' || listed.query !== text)) await search();
    // A tag by its very name is what was meant; else the first picture.
    const exact = named(listed.tags ?? [], text);
    if (event.key === 'Enter' && exact) await seeTag(exact.tag);
    list.focus();
  }
});

/** All pictures with a tag, on the map and in the list. */
async function seeTag(tag) {
  hideProblem();
  if (!(await legend.by('tag', tag))) return;
  listed = { kind: 'tag', tag, label: tagFacts.get(tag)?.label ?? String(tag), numbers: legend.withTag(tag) };
  showTab('list');
  showList();
  news.textContent = find('.ex-list-count').textContent;
}

// --- where is mine? ----------------------------------------------------------------------------------

const fileInput = find('.ex-file');
let placing = 0;
async function place(file) {
  const name = mapName;
  hideProblem();
  if (file.size > props.max_bytes) {
    showProblem(say('too_large', { size: bytes(file.size), limit: bytes(props.max_bytes) }));
    return;
  }
  const mine = ++placing;
  stage.dataset.busy = 'true';
  news.textContent = say('mine_reading', { name: file.name });
  let answer = null;
  try {
    answer = await source.place(name, file);
  } catch (error) {
    if (mine === placing) failed(error, () => place(file));
  }
  if (mine !== placing) return;
  stage.dataset.busy = '';
  if (!answer) return;
  if (answer.hash !== hash()) await loadMap(name, { quiet: true }); // its numbers are of a newer map
  if (answer.hash !== hash()) return; // which has changed again, or did not come: that is said
  learnTags(answer.tags);
  showTab('detail');
  await detail.open({ mine: { name: file.name, url: URL.createObjectURL(file), answer } });
  news.textContent = say('mine_placed', { name: file.name });
}
find('.ex-upload').addEventListener('click', () => fileInput.click());
fileInput.addEventListener('change', () => {
  const [file] = fileInput.files;
  if (file) place(file);
  fileInput.value = ''; // so that the same file can be chosen again
});
// The whole window takes a drop: a file let go beside the map must not replace the page.
const carries = (event) => here() && event.dataTransfer &&
  ['Files', 'text/uri-list'].some((type) => event.dataTransfer.types.includes(type));
document.addEventListener('dragover', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  stage.classList.add('ex-over');
});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) stage.classList.remove('ex-over');
});
document.addEventListener('drop', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  stage.classList.remove('ex-over');
  const [file] = event.dataTransfer.files;
  if (file) place(file);
  else showProblem(say('not_a_file'));
});
document.addEventListener('paste', (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (!here() || !file) return;
  event.preventDefault();
  place(file);
});

// --- loading -----------------------------------------------------------------------------------------

function cover(state, line = '', act = '') {
  stage.dataset.state = state;
  find('.ex-cover-line').textContent = line;
  find('.ex-cover-act').hidden = !act;
  find('.ex-cover-act').textContent = act;
  root.inert = state !== 'ready'; // what is covered cannot be used by keys either
  stage.setAttribute('aria-busy', String(state === 'loading' || state === 'computing'));
}
find('.ex-cover-act').addEventListener('click', () =>
  loadMap(stage.dataset.state === 'failed' ? mapName : 'gallery'));

function showMaps(entries) {
  const drawings = entries?.find(({ map: name }) => name === 'drawings');
  find('.ex-maps').hidden = !drawings;
  for (const { map: name, count } of entries ?? []) {
    const number = find(`.ex-maps label:has([value=${CSS.escape(name)}]) small`);
    if (number) number.textContent = count ? amount(count) : '';
  }
}

/** In words, how far what is near on the map is near in truth. */
function showAbout() {
  const value = facts.trustworthiness;
  const pca = facts.pca_trustworthiness;
  const level = value >= 0.93 ? 'level_most' : value >= 0.85 ? 'level_many'
    : value >= 0.7 ? 'level_half' : 'level_few';
  const other = facts.method !== 'pca' && Number.isFinite(pca) ? say('about_other', { pca: pca.toFixed(2) }) : '';
  find('.ex-about').textContent = Number.isFinite(value) ? say('about', {
    level: say(level), trustworthiness: value.toFixed(2), method: facts.method.toUpperCase(), other,
  }) : '';
}

let waiting = 0;
/** Load a map; with `quiet` what stands stays until the new one is here. */
async function loadMap(name, { quiet = false } = {}) {
  clearTimeout(waiting);
  const mine = ++looking;
  if (name !== mapName) {
    placing++; // on a map that is left
    stage.dataset.busy = '';
  }
  if (!quiet || name !== mapName) cover('loading', say('loading'));
  hideCard();
  hideProblem();
  try {
    const found = await source.facts(name);
    if (mine !== looking) return;
    showMaps(found.maps);
    find(`.ex-maps [value=${CSS.escape(name)}]`).checked = true;
    if (found.status !== 'ready') {
      mapName = name;
      facts = points = null;
      find('.ex-about').textContent = '';
      panel.inert = find('.ex-key').inert = true;
      const back = name === 'gallery' ? '' : say('to_gallery');
      if (found.status === 'empty') cover('empty', say(name === 'drawings' ? 'empty_drawings' : 'empty_gallery'), back);
      else if (found.status === 'failed') cover('failed', say('failed'), say('retry'));
      else {
        cover(found.status === 'computing' ? 'computing' : 'loading', say(found.status === 'computing' ? 'computing' : 'loading'), back);
        waiting = setTimeout(() => loadMap(name, { quiet: true }), LOOK_AGAIN);
      }
      return;
    }
    const [buffer, depth] = await Promise.all([
      source.points(name, found.hash),
      found.dimensions === 3 ? source.column(name, found.hash, 'z') : null,
    ]);
    if (mine !== looking) return;
    await useMap(name, found, decodePoints(buffer, found), depth && decodeDepth(depth, found.bounds.z));
  } catch (error) {
    if (mine !== looking) return;
    if (!(error instanceof Refusal)) throw error;
    if (error.code === 'explore-stale') {
      waiting = setTimeout(() => loadMap(name, { quiet: true }), LOOK_AGAIN);
    } else if (points && quiet) {
      showProblem(error.message, () => loadMap(name, { quiet }));
    } else {
      cover('failed', error.message, say('retry'));
      mapName = name;
    }
  }
}

async function useMap(name, found, decoded, z) {
  const renewed = points !== null && name === mapName && found.hash !== hash();
  mapName = name;
  facts = found;
  points = decoded;
  briefs = createBriefs((numbers) => source.briefs(name, found.hash, numbers));
  edits = createEdits(found.hash, found.count, () => {
    set.showChanges();
    detail.redraw();
  });
  learnTags(found.tags);
  panel.inert = find('.ex-key').inert = false;
  marked = pointed = peeked = null;
  ahead.clear();
  map.setPoints({ count: points.count, x: points.x, y: points.y, ...(z && { z }) });
  visible = null;
  const shown = detail.forget();
  select(null, false);
  set.showChanges();
  showAbout();
  await Promise.all([legend.load(facts, points), shown]);
  clearTimeout(typing);
  typed++; // what is being searched is of the numbers before
  listPane.removeAttribute('aria-busy');
  listed = { kind: 'all' };
  query.value = '';
  showList();
  cover('ready');
  stage.dataset.hash = found.hash;
  stage.dataset.map = name;
  news.textContent = renewed ? say('renewed') : say('heard_count', { count: amount(found.count) });
  if (points.count <= ALL_BRIEFS) fetchAll(found.hash);
  fulfil();
}

/** What is said of all pictures, in the browser's spare time. */
function fetchAll(of) {
  const idle = window.requestIdleCallback ?? ((begin) => setTimeout(begin, 50));
  let next = 0;
  const step = async () => {
    if (of !== hash() || next >= points.count) return;
    const part = Array.from({ length: Math.min(MOST_BRIEFS, points.count - next) }, (_, i) => next + i);
    next += part.length;
    try {
      await briefs.want(part);
    } catch {
      return; // they are asked for when they are needed
    }
    idle(step);
  };
  idle(step);
}

find('.ex-maps').addEventListener('change', (event) => loadMap(event.target.value));

// --- what other tabs wish ----------------------------------------------------------------------------

// {tag: a tag's name}, {file: a picture} or {number: of the gallery}, left on the page by whoever opened this tab.
async function fulfil() {
  const wish = window.taggerWish;
  if (!wish || !points) return;
  delete window.taggerWish;
  if (mapName !== 'gallery') {
    window.taggerWish = wish;
    loadMap('gallery'); // and then again
  } else if (wish.file) {
    place(wish.file);
  } else if (wish.number < points.count) {
    openPicture(wish.number);
  } else if (wish.tag) {
    const known = facts.tags.find(({ name }) => name === wish.tag);
    if (known) {
      seeTag(known.tag);
    } else {
      query.value = wish.label ?? wish.tag;
      search();
    }
  }
}
document.addEventListener('tagger:wish', fulfil);

loadMap('gallery');
element.dataset.ready = 'true';
