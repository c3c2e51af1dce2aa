/* The Tag tab in the browser, after common.js.
 *
 * Every picture given becomes an item {id, file, name, state, answer, message}. An answer belongs to
 * its item, so a late one can never be shown beside another picture.
 */
const base = new URL((window.gradio_config?.root ?? new URL('.', document.baseURI).href) + '/');
const KEPT = Math.max(60, props.max_files); // pictures in the list; older ones are forgotten
const AT_ONCE = 2; // pictures sent at a time: one is read while the next one travels

const drop = find('.tg-drop');
const input = find('.tg-input');
const preview = find('.tg-preview');
const problem = find('.tg-problem');
const list = find('.tg-rows');
const results = find('.tg-results');
const detail = find('.tg-detail');
const output = find('.tg-output');
const copyButton = find('.tg-copy');
const onlyPassing = find('.tg-only input');
const news = find('.tg-news');
const strip = find('.tg-strip');

let items = [];
let selected = null;
let failing = null; // the item whose trouble the message speaks of
let count = 0;
let running = 0;

// --- fixed words -----------------------------------------------------------------------------------

document.title = say('title');
const apple = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform);
const fixed = { keys: apple ? '⌘V' : 'Ctrl+V', limit: bytes(props.max_bytes) };
translate(fixed);

// --- rows ------------------------------------------------------------------------------------------

const rows = Array.from({ length: props.top }, () => {
  const item = make('li');
  const button = make('button', 'tg-row');
  button.type = 'button';
  button.disabled = true;
  const row = { button, tag: null };
  row.mark = make('span', 'tg-mark');
  row.name = make('span', 'tg-name');
  row.chip = make('span', 'tg-chip');
  row.percent = make('span', 'tg-percent');
  row.bar = make('span', 'tg-bar');
  row.fill = make('span', 'tg-fill');
  row.tick = make('span', 'tg-tick');
  row.cutoff = make('span', 'tg-cutoff');
  const title = make('span', 'tg-title');
  title.append(row.name, row.chip, row.percent);
  row.bar.append(row.fill, row.tick);
  button.append(row.mark, title, row.bar, row.cutoff);
  for (const part of button.children) part.setAttribute('aria-hidden', 'true');
  const explain = () => { if (row.tag) showDetail(row); };
  button.addEventListener('pointerenter', explain);
  button.addEventListener('focus', explain);
  button.addEventListener('click', explain);
  item.append(button);
  if (props.explore) {
    row.see = make('button', 'tg-see');
    row.see.type = 'button';
    row.see.hidden = true;
    row.see.append(find('.tg-place svg').cloneNode(true));
    row.see.addEventListener('click', () => explore({ tag: row.tag.name, label: row.tag.label }));
    item.append(row.see);
  }
  list.append(item);
  return row;
});

/** Open the Explore tab with a wish: {tag, label} or {file}; it is taken when the tab is there. */
function explore(wish) {
  window.taggerWish = wish;
  document.dispatchEvent(new Event('tagger:wish'));
  const tab = document.querySelector('#tab-explore-button');
  tab?.click();
  tab?.scrollIntoView({ block: 'nearest' });
}

function describe(tag) {
  if (tag.precision === null) return say('detail_unknown', { tag: tag.label });
  const text = say('detail', {
    tag: tag.label,
    threshold: percent(tag.threshold),
    precision: percent(tag.precision),
    recall: tag.recall === null ? '–' : percent(tag.recall),
    support: tag.support ?? '–',
  });
  return tag.support !== null && tag.support < props.few ? text + words.gap + say('detail_few') : text;
}

function showDetail(row) {
  for (const other of rows) other.button.classList.toggle('tg-current', other === row);
  detail.textContent = describe(row.tag);
}

function fillRow(row, tag, rank) {
  row.tag = tag;
  row.button.disabled = !tag;
  row.button.dataset.verdict = tag ? (tag.passes ? 'passes' : 'below') : 'none';
  row.name.textContent = tag ? tag.label : '';
  row.chip.textContent = tag ? tag.group_label : '';
  row.chip.dataset.group = tag ? tag.group : '';
  row.percent.textContent = tag ? percent(tag.probability) : '';
  row.fill.style.inlineSize = tag ? 100 * tag.probability + '%' : '0';
  row.tick.style.insetInlineStart = tag ? 100 * tag.threshold + '%' : '0';
  row.cutoff.textContent = tag
    ? say(tag.passes ? 'cutoff' : 'cutoff_below', { value: percent(tag.threshold) })
    : '';
  row.button.title = tag ? describe(tag) : '';
  if (row.see) {
    row.see.hidden = !tag;
    row.see.title = tag ? say('see_pictures', { tag: tag.label }) : '';
    row.see.setAttribute('aria-label', row.see.title);
  }
  row.button.setAttribute('aria-label', tag ? say('row', {
    rank,
    tag: tag.label,
    group: tag.group_label,
    percent: percent(tag.probability),
    verdict: say(tag.passes ? 'passes' : 'below'),
  }) : '');
}

// One stop for the Tab key; the arrows walk the list.
list.addEventListener('keydown', (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -rows.length, End: rows.length };
  const step = steps[event.key];
  const filled = rows.filter((row) => row.tag);
  const here = filled.findIndex((row) => row.button === document.activeElement);
  if (step === undefined || here < 0) return;
  event.preventDefault();
  focusable(filled[Math.min(filled.length - 1, Math.max(0, here + step))]).focus();
});
function focusable(chosen) {
  for (const row of rows) {
    row.button.tabIndex = row === chosen ? 0 : -1;
    if (row.see) row.see.tabIndex = row.button.tabIndex;
  }
  return chosen.button;
}
list.addEventListener('focusin', (event) => {
  const row = rows.find(({ button, see }) => button === event.target || see === event.target);
  if (row) focusable(row);
});

// --- what is shown ---------------------------------------------------------------------------------

function show() {
  const item = selected;
  const state = item ? item.state : 'empty';
  const answer = item?.answer ?? null;
  drop.dataset.state = state;
  results.dataset.state = state;
  results.setAttribute('aria-busy', String(state === 'waiting' || state === 'busy'));
  find('.tg-choose').textContent = say(item ? 'choose_other' : 'choose');
  find('.tg-place').hidden = !props.explore || !answer;
  showPreview(item);
  showFacts(item);
  // While a new picture is being read its rows keep the old words, faded: nothing moves.
  if (answer || !item || state === 'failed') {
    rows.forEach((row, index) => fillRow(row, answer?.tags[index] ?? null, index + 1));
    focusable(rows[0]);
    list.inert = !answer; // ten buttons without a name are no use to anybody
    for (const row of rows) row.button.classList.remove('tg-current');
    detail.textContent = answer ? say('legend') + words.gap + say('hint') : say('legend');
    showOutput();
  }
  showStrip();
}

function showPreview(item) {
  const source = item ? item.shown ?? item.url : '';
  if (preview.dataset.source === source) return;
  preview.dataset.source = source;
  drop.dataset.preview = 'none';
  if (source) preview.src = source;
  else preview.removeAttribute('src');
  preview.alt = item ? say('preview', { name: item.name }) : '';
}
preview.addEventListener('load', () => { drop.dataset.preview = 'shown'; });
preview.addEventListener('error', () => {
  if (!selected) return;
  // What the browser cannot decode (HEIC, TIFF), the server sends as a small picture.
  if (selected.answer?.preview && selected.shown !== selected.answer.preview) {
    selected.shown = selected.answer.preview;
    show();
  } else {
    drop.dataset.preview = 'impossible';
  }
});

function showFacts(item) {
  const facts = find('.tg-facts');
  const model = find('.tg-model');
  const answer = item?.answer;
  facts.textContent = !item ? say('formats', fixed) : answer
    ? [...answer.facts, bytes(item.file.size), ...answer.notes, item.credit]
        .filter(Boolean).join(words.separator)
    : say('reading', { name: item.name });
  facts.title = facts.textContent;
  model.textContent = answer
    ? say('model_line', { model: answer.model, milliseconds: answer.milliseconds })
    : '';
  find('.tg-unseen').textContent = item ? say('no_preview', { name: item.name }) : '';
}

const style = () => find('.tg-formats input:checked').value;
function showOutput() {
  const formats = selected?.answer?.formats;
  const text = formats ? formats[style()][onlyPassing.checked ? 'passing' : 'all'] : '';
  output.value = text;
  output.placeholder = formats ? say('output_none') : '';
  copyButton.disabled = !text;
  copyButton.textContent = say('copy');
}
element.addEventListener('change', (event) => {
  if (event.target.closest('.tg-formats, .tg-only')) showOutput();
});
copyButton.addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(output.value);
  } catch {
    // Without https the clipboard is closed to scripts; the old way still works.
    // The refusal may come late: whoever has gone on meanwhile keeps their place.
    const place = document.activeElement;
    output.select();
    if (!document.execCommand('copy')) {
      showProblem(say('copy_failed'));
      return;
    }
    place.focus();
  }
  copyButton.textContent = news.textContent = say('copied');
});

// --- messages --------------------------------------------------------------------------------------

function showProblem(message, item = null) {
  failing = item;
  problem.hidden = false;
  find('.tg-message').textContent = message;
  find('.tg-retry').hidden = !item;
}
function hideProblem() {
  failing = null;
  problem.hidden = true;
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', () => { hideProblem(); find('.tg-choose').focus(); });
find('.tg-retry').addEventListener('click', () => {
  const item = failing;
  hideProblem();
  if (!items.includes(item)) items.push(item);
  item.state = 'waiting';
  select(item);
  pump();
});

// --- pictures --------------------------------------------------------------------------------------

function add(files, credit = '') {
  const taken = [...files].slice(0, props.max_files);
  if (!taken.length) return;
  hideProblem();
  const fresh = taken.map((file) => ({
    id: ++count, file, name: file.name, credit, url: URL.createObjectURL(file), shown: null,
    state: 'waiting', answer: null, message: '', alone: taken.length === 1,
  }));
  items.push(...fresh);
  for (const old of items.splice(0, items.length - KEPT)) URL.revokeObjectURL(old.url);
  select(fresh[0]);
  if (files.length > taken.length) showProblem(say('too_many', { limit: props.max_files }));
  pump();
}

function select(item) {
  selected = item;
  show();
  if (item?.state === 'failed') showProblem(item.message, item.again ? item : null);
}

function pump() {
  while (running < AT_ONCE) {
    const waiting = items.filter((item) => item.state === 'waiting');
    if (!waiting.length) return;
    read(waiting.includes(selected) ? selected : waiting[0]);
  }
}

async function read(item) {
  running++;
  item.state = 'busy';
  if (item === selected) show();
  let answer = null;
  if (item.file.size > props.max_bytes) {
    answer = { problem: say('too_large', { size: bytes(item.file.size), limit: fixed.limit }) };
  } else {
    try {
      answer = await server.tag_picture({ binary: true, data: { picture: item.file, lang } });
    } catch { /* said below: there is no answer */ }
  }
  running--;
  if (answer?.tags) {
    item.answer = answer;
    item.state = 'done';
    if (item === selected) {
      // The browser's own attempt may have failed before this picture came.
      if (drop.dataset.preview === 'impossible' && answer.preview) item.shown = answer.preview;
      show();
      announce(item);
    } else {
      showStrip();
    }
  } else {
    fail(item, answer);
  }
  pump();
}

function fail(item, answer) {
  item.state = 'failed';
  item.again = !answer || Boolean(answer.again);
  item.message = say('problem', {
    name: item.name,
    message: answer?.problem ?? say('no_answer'),
  });
  if (item.alone) {
    // A single bad file leaves things as they were before it came.
    items = items.filter((other) => other !== item);
    if (!item.again) URL.revokeObjectURL(item.url);
    if (item === selected) selected = items.findLast((other) => other.state === 'done') ?? null;
    show();
    showProblem(item.message, item.again ? item : null);
  } else if (item === selected) {
    select(item);
  } else {
    showStrip();
  }
}

function announce(item) {
  const tags = item.answer.tags.map((tag) =>
    say('done_tag', { tag: tag.label, percent: percent(tag.probability) }));
  news.textContent = say('done', {
    name: item.name, count: tags.length, tags: tags.join(lang === 'ja' ? '、' : ', '),
  });
}

// The list appears with the second picture. A tile is made once, so it keeps focus and picture.
function makeTile(item) {
  const entry = make('li');
  const tile = make('button', 'tg-tile');
  tile.type = 'button';
  const picture = make('img');
  picture.alt = '';
  picture.src = item.url;
  // What the browser cannot decode has its name there, until the server's small picture comes.
  picture.addEventListener('load', () => { tile.dataset.preview = 'shown'; });
  picture.addEventListener('error', () => {
    tile.dataset.preview = 'impossible';
    useServersPicture(item);
  });
  tile.append(picture, make('span', 'tg-tilename', item.name));
  tile.addEventListener('click', () => {
    hideProblem();
    select(item);
  });
  entry.append(tile);
  return entry;
}
function useServersPicture(item) {
  const tile = item.entry.firstChild;
  const picture = tile.querySelector('img');
  const made = item.answer?.preview;
  if (tile.dataset.preview === 'impossible' && made && picture.src !== made) picture.src = made;
}
function showStrip() {
  const listed = items.length < 2 ? [] : items;
  find('.tg-yours').hidden = !listed.length;
  for (const item of listed) {
    item.entry ??= makeTile(item);
    const tile = item.entry.firstChild;
    const words = { failed: 'tile_failed', busy: 'tile_busy', waiting: 'tile_busy' };
    tile.dataset.state = item.state;
    useServersPicture(item);
    tile.setAttribute('aria-current', String(item === selected));
    tile.title = say(words[item.state] ?? 'tile', { name: item.name });
    tile.setAttribute('aria-label', tile.title);
  }
  const entries = listed.map((item) => item.entry);
  if (entries.length !== strip.children.length || entries.some((entry, i) => entry !== strip.children[i])) {
    strip.replaceChildren(...entries);
  }
}
find('.tg-clear').addEventListener('click', () => {
  for (const item of items) URL.revokeObjectURL(item.url);
  items = [];
  selected = null;
  hideProblem();
  show();
  find('.tg-choose').focus();
});

// --- four ways in: choose, drop, paste, example ----------------------------------------------------

find('.tg-choose').addEventListener('click', () => input.click());
find('.tg-place').addEventListener('click', () => explore({ file: selected.file }));
drop.addEventListener('click', (event) => {
  if (!event.target.closest('button, input, .tg-problem')) input.click();
});
input.addEventListener('change', () => {
  add(input.files);
  input.value = ''; // so that the same file can be chosen again
});

// The whole window takes a drop: a picture let go beside the frame must not replace the page.
const here = () => element.isConnected && element.offsetParent !== null;
const carries = (event) => here() && event.dataTransfer &&
  ['Files', 'text/uri-list'].some((type) => event.dataTransfer.types.includes(type));
const dragging = (on) => { drop.classList.toggle('tg-over', on); };
document.addEventListener('dragover', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = 'copy';
  dragging(true);
});
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) dragging(false); });
document.addEventListener('drop', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  dragging(false);
  const entries = [...event.dataTransfer.items]
    .filter((entry) => entry.kind === 'file').map((entry) => entry.webkitGetAsEntry?.());
  const files = [...event.dataTransfer.files].filter((_, index) => !entries[index]?.isDirectory);
  add(files);
  if (entries.some((entry) => entry?.isDirectory)) showProblem(say('folder'));
  else if (!files.length) showProblem(say('not_a_file'));
});
document.addEventListener('paste', (event) => {
  if (!here() || !event.clipboardData) return;
  const files = [...event.clipboardData.files];
  const typing = event.target instanceof Element &&
    event.target.closest('input:not([type=radio], [type=checkbox]), textarea:not([readonly])');
  if (files.length) {
    event.preventDefault();
    add(files);
  } else if (!typing) {
    showProblem(say('nothing_to_paste'));
  }
});

const shelf = find('.tg-shelf');
for (const example of props.examples) {
  const entry = make('li');
  const button = make('button', 'tg-example');
  button.type = 'button';
  const label = example.label[lang];
  button.title = say('example_credit', example);
  button.setAttribute('aria-label', say('example', { label, author: example.author }));
  const picture = make('img');
  picture.alt = '';
  picture.loading = 'lazy';
  picture.draggable = false;
  picture.src = new URL(example.url, base);
  button.append(picture);
  button.addEventListener('click', async () => {
    try {
      const response = await fetch(picture.src);
      if (!response.ok) throw new Error(response.statusText);
      const blob = await response.blob();
      const name = example.url.split('/').pop();
      add([new File([blob], name, { type: blob.type })], say('example_credit', example));
    } catch {
      showProblem(say('example_failed'));
    }
  });
  entry.append(button);
  shelf.append(entry);
}
const authors = [...new Set(props.examples.map((example) => example.author))];
find('.tg-credit').textContent =
  say('examples_credit', { authors: authors.join(lang === 'ja' ? '、' : ', ') });
for (const part of findAll('.tg-examples, .tg-credit')) part.hidden = !props.examples.length;

show();
element.dataset.explore = String(props.explore);
element.dataset.ready = 'true';
