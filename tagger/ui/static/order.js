/* The section "Order a set" in the browser, after common.js and the parts it is made of.
 *
 * An item is a picture of the reader's: {file, path, state, score, description, version, rating}. It
 * waits, is done, or has failed. Its description is what the server saw in it: by that alone another
 * ranker can judge it, so that a picture is sent but once. `version` counts the rankers that were
 * chosen; what is of an earlier one is judged anew.
 */
const AGAIN_AT_ONCE = 1_000; // descriptions in one request
const CUTS = [10, 50, 100];
const NAMES_TOLD = 5; // names and lines that are told of many

const drop = find('.od-drop');
const course = find('.od-course');
const problem = find('.tg-problem');
const news = find('.tg-news');
const list = find('.od-list');
const large = find('.od-large');
const figures = find('.od-figures');
const runButton = find('.od-run');
const problemsButton = find('.od-problems-open');
const problemsList = find('.od-problems');
const csvButton = find('.od-csv');
const zipButton = find('.od-zip');
const topField = find('.od-most');

translate({});
find('.od-rate').title = say('rate_title');
csvButton.title = say('csv_title');
zipButton.title = say('zip_title');
find('.od-place').hidden = !props.explore;

const source = createCompareSource({ base, visitor, lang, noAnswer: say('no_answer') });
const collator = new Intl.Collator(lang, { numeric: true });
const here = () => element.isConnected && element.offsetParent !== null;
const able = (node, on) => node.setAttribute('aria-disabled', String(!on));
const isAble = (node) => node.getAttribute('aria-disabled') !== 'true';
const figure = (value, digits) =>
  value.toFixed(digits).replace(/^-(?=[0.]+$)/, '').replace('-', '−');
const plainNumber = (value) => String(Math.round(1000 * value) / 1000).replace('-', '−');

let items = []; // all that were given, in the order of their names
let order = []; // those that can be shown, best first, then those that wait
let version = 0;
let ratings = null; // {name, ratings, bad} of a table
let matched = { found: new Map(), lost: [] };
let evaluation = null;
let refused = false; // whether the server has refused to go on
let seenBy = ''; // hash of the model that has described the pictures

// --- messages ----------------------------------------------------------------------------------------

function showProblem(message) {
  problem.hidden = false;
  find('.tg-message').textContent = message;
}
function hideProblem() {
  problem.hidden = true;
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', () => { hideProblem(); find('.od-choose').focus(); });
const note = (...parts) => write(find('.od-note'), parts.filter(Boolean).join(words.gap));
const counted = (count, one, many) => count ? say(count === 1 ? one : many, { count: amount(count) }) : '';

// --- the order ---------------------------------------------------------------------------------------

const scored = () => order.filter((item) => item.state === 'done');
const limit = () => (topField.value && topField.validity.valid ? topField.valueAsNumber : Infinity);
/** The pictures that are shown and have a rank: what is downloaded. */
const ranked = () => scored().slice(0, limit());

const grid = createGrid({
  list,
  fill({ node, button }, item) {
    const done = item.state === 'done';
    const values = {
      rank: item.rank, name: item.path, score: done ? figure(item.score, 2) : '',
      rating: item.rating === null ? '' : plainNumber(item.rating),
    };
    node.dataset.state = item.state;
    write(button.querySelector('.od-rank'), done ? amount(item.rank) : '');
    const told = [values.score, values.rating && say('rating', values)].filter(Boolean);
    write(button.querySelector('.od-score'), told.join(words.separator));
    write(button.querySelector('.od-name'), item.file.name);
    button.title = item.path;
    const key = !done ? 'tile_waiting' : item.rating === null ? 'tile' : 'tile_rated';
    button.setAttribute('aria-label', say(key, values));
  },
  open: (index) => showLarge(index),
});

let arranging = 0;
/** Bring everything up to date before the next frame, however much has come. */
function arrange() {
  arranging ||= requestAnimationFrame(() => {
    arranging = 0;
    arrangeNow();
  });
}
function arrangeNow() {
  cancelAnimationFrame(arranging);
  arranging = 0;
  const done = items.filter((item) => item.state === 'done').sort((a, b) => b.score - a.score);
  done.forEach((item, index) => { item.rank = index + 1; });
  order = [...done, ...items.filter((item) => item.state === 'waiting')];
  grid.show(order.slice(0, limit()));
  showCourse();
  showProblems();
}

function showCourse() {
  const count = items.length;
  const done = items.filter((item) => item.state !== 'waiting').length;
  const good = done - items.filter((item) => item.state === 'failed').length;
  const values = { done: amount(done), count: amount(count), top: amount(Math.min(limit(), good)) };
  const state = !count ? 'empty' : sender.active ? 'running' : done < count ? 'stopped' : 'done';
  drop.dataset.state = count ? 'some' : 'empty';
  element.dataset.state = course.dataset.state = state;
  element.dataset.done = good;
  const ended = !good ? 'status_none' : limit() < good ? 'status_top' : good === 1 ? 'status_one' : 'status_done';
  const said = {
    empty: 'status_empty', running: sender.resting ? 'status_resting' : 'status_running',
    stopped: 'status_stopped', done: ended,
  }[state];
  write(find('.od-status'), say(said, state === 'done' ? { ...values, count: amount(good) } : values));
  const share = count ? done / count : 0;
  find('.od-track i').style.transform = `scaleX(${share})`;
  find('.od-track').setAttribute('aria-valuenow', String(Math.round(100 * share)));
  runButton.dataset.act = state === 'running' ? 'stop' : refused ? 'again' : 'go';
  write(runButton, say({ stop: 'stop', go: 'go', again: 'again' }[runButton.dataset.act]));
  runButton.style.visibility = ['running', 'stopped'].includes(state) ? '' : 'hidden';
  if (!zipping) able(zipButton, good);
  able(csvButton, good);
  able(find('.od-clear'), count);
}

function showProblems() {
  const failed = items.filter((item) => item.state === 'failed');
  problemsButton.hidden = !failed.length;
  write(problemsButton, say('problems', { count: amount(failed.length) }));
  if (!failed.length) openProblems(false);
  if (problemsList.childElementCount === failed.length) return;
  problemsList.replaceChildren(...failed.map((item) => {
    const line = make('li');
    line.append(make('strong', '', item.path), ' ', make('span', '', item.message));
    return line;
  }));
}
function openProblems(open) {
  problemsList.hidden = !open;
  problemsButton.setAttribute('aria-expanded', String(open));
}
problemsButton.addEventListener('click', () => openProblems(problemsList.hidden));

function fail(item, message) {
  item.state = 'failed';
  item.message = message;
}

// --- scoring -----------------------------------------------------------------------------------------

const choice = createRankerChoice(find('.od-ranker'), find('.od-ranker-file'), {
  source,
  changed() {
    hideProblem();
    judgeAnew();
  },
});

const sender = createSender({
  most: props.batch,
  mostBytes: props.batch_bytes,
  async send(batch, signal) {
    const form = new FormData();
    const mine = version;
    for (const { file } of batch) form.append('files', file, file.name);
    form.set('describe', 'true');
    choice.fill(form);
    const { pictures, model } = await source.rank(form, signal);
    if (model.hash !== seenBy) seenAnew(model.hash);
    const answers = new Map(pictures.map((picture) => [picture.place, picture]));
    return batch.map((_, n) => ({ ...answers.get(n), version: mine }));
  },
  done(item, answer) {
    if (answer.error) {
      fail(item, answer.error.message ?? answer.error.detail ?? say('no_answer'));
    } else if (!Number.isFinite(answer.score)) {
      fail(item, say('no_answer'));
    } else {
      Object.assign(item, {
        state: 'done', score: answer.score, version: answer.version,
        description: answer.description ?? null,
      });
      // The ranker was changed while this was under way.
      if (item.version !== version) judge();
    }
  },
  spoilt: (item, error) => fail(item, error.message),
  changed: arrange,
  ended(error) {
    refused = Boolean(error);
    if (error) refuse(error);
    arrangeNow();
    if (element.dataset.state === 'done') {
      const [first] = order;
      if (first) news.textContent = say('heard', { count: amount(scored().length), name: first.path });
    }
    evaluate();
  },
});

/** Say why the server does nothing; a file that it cannot take for a ranker is no choice any more. */
function refuse(error) {
  if (!(error instanceof Refusal)) throw error;
  showProblem(error.message);
  if (choice.value.profile && /^(ranker|taste|preference)-/.test(error.code)) {
    choice.drop();
    refused = false;
    if (!choice.ready) return;
    judgeAnew();
    if (sender.waiting) sender.start();
  }
}

/** Another ranker judges what is here. */
function judgeAnew() {
  version++;
  evaluation = null;
  showFigures();
  judge();
}
/** Another model has seen a batch: what an earlier one said of the others is no longer good. */
function seenAnew(model) {
  seenBy = model;
  const old = items.filter((item) => item.state === 'done');
  for (const item of old) Object.assign(item, { state: 'waiting', description: null });
  if (old.length) note(say('resent'));
  sender.add(old);
}
let judging = null; // the version that is being asked for
async function judge() {
  if (judging === version) return;
  const mine = judging = version;
  await Promise.resolve(); // all of a batch have come
  const old = items.filter((item) => item.state === 'done' && item.version !== mine);
  const known = old.filter((item) => item.description);
  let scores = [];
  list.dataset.busy = String(old.length > 0);
  try {
    for (let at = 0; at < known.length; at += AGAIN_AT_ONCE) {
      const part = known.slice(at, at + AGAIN_AT_ONCE).map((item) => item.description);
      const told = await scoresOf(part);
      if (mine !== version) return;
      scores = [...scores, ...told];
    }
  } catch (error) {
    if (mine !== version) return;
    if (error.code !== 'compare-stale') {
      judging = null;
      list.dataset.busy = 'false';
      refuse(error);
      return;
    }
    scores = []; // there is another model by now: it has to see the pictures
  }
  judging = null;
  list.dataset.busy = 'false';
  known.forEach((item, n) => {
    if (Number.isFinite(scores[n])) Object.assign(item, { score: scores[n], version: mine });
  });
  const again = old.filter((item) => item.version !== mine);
  for (const item of again) Object.assign(item, { state: 'waiting', description: null });
  if (again.length) note(say('resent'));
  sender.add(again);
  if (again.length) sender.start();
  arrangeNow();
  // What has come meanwhile may be of an earlier ranker.
  if (items.some((item) => item.state === 'done' && item.version !== mine)) judge();
  else evaluate();
}
async function scoresOf(descriptions) {
  const { ranker, profile } = choice.value;
  const body = { descriptions, model: seenBy, ranker };
  if (profile) {
    const text = await profile.text();
    try {
      body.profile = JSON.parse(text);
    } catch {
      body.profile = text; // which the server refuses in its own words
    }
  }
  return (await (await source.ask('rank/scores', { method: 'POST', body })).json()).scores;
}

runButton.addEventListener('click', () => {
  if (runButton.dataset.act === 'stop') {
    sender.stop();
  } else {
    hideProblem();
    refused = false;
    sender.start();
  }
  arrange();
});

// --- pictures in -------------------------------------------------------------------------------------

/** Take what was given, as [{file, path}]: pictures, and a table of ratings if there is one. */
async function take(given) {
  hideProblem();
  refused = false;
  const table = given.filter(({ file, path }) => file && !isLitter(path) && isTable(file))
    .sort((a, b) => /rat|評価/i.test(b.file.name) - /rat|評価/i.test(a.file.name))[0];
  const seen = new Set(items.map(({ file, path }) => `${path}\n${file?.size}\n${file?.lastModified}`));
  let same = 0;
  let left = 0;
  const fresh = [];
  for (const { file, path } of given) {
    if (isLitter(path) || file === table?.file) continue;
    if (file && !mayBePicture(file)) {
      left++;
      continue;
    }
    const key = `${path}\n${file?.size}\n${file?.lastModified}`;
    if (seen.has(key)) {
      same++;
      continue;
    }
    seen.add(key);
    fresh.push({
      file: file ?? new File([], path), path, state: 'waiting', score: 0, rank: 0, version: 0,
      description: null, rating: null, message: file ? '' : say('gone'),
    });
  }
  const room = props.most - items.length;
  const taken = fresh.sort((a, b) => collator.compare(a.path, b.path)).slice(0, room);
  for (const item of taken) {
    const { size } = item.file;
    if (item.message) fail(item, item.message);
    else if (!size) fail(item, say('empty_file'));
    else if (size > props.max_bytes) {
      fail(item, say('too_large', { size: bytes(size), limit: bytes(props.max_bytes) }));
    }
  }
  items = [...items, ...taken];
  note(counted(left, 'left_one', 'left_out'), counted(same, 'same_one', 'same'),
    fresh.length > taken.length && say('most', { count: amount(props.most) }));
  if (!taken.length && !table && !same) showProblem(say('no_pictures'));
  if (table) await readTable(table.file);
  sender.add(taken.filter((item) => item.state === 'waiting'));
  if (sender.waiting) sender.start();
  match();
}

find('.od-choose').addEventListener('click', () => find('.od-files').click());
find('.od-folder').addEventListener('click', () => find('.od-directory').click());
for (const input of findAll('.od-files, .od-directory')) {
  input.addEventListener('change', () => {
    const given = chosenFiles(input.files);
    input.value = ''; // so that the same can be chosen again
    if (given.length) take(given);
  });
}
// A phone has no folders to choose.
find('.od-folder').hidden = !('webkitdirectory' in find('.od-directory')) || matchMedia('(pointer: coarse)').matches;
drop.addEventListener('click', (event) => {
  if (!items.length && !event.target.closest('button, input, .tg-problem')) find('.od-files').click();
});

const carries = (event) => here() && !large.open && event.dataTransfer?.types.includes('Files');
const dragging = (on) => { drop.classList.toggle('od-over', on); };
document.addEventListener('dragover', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = 'copy';
  dragging(true);
});
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) dragging(false); });
document.addEventListener('drop', async (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  dragging(false);
  take(await droppedFiles(event.dataTransfer, props.most));
});
document.addEventListener('paste', (event) => {
  if (!here() || !event.clipboardData?.files.length) return;
  event.preventDefault();
  take(chosenFiles(event.clipboardData.files));
});

find('.od-clear').addEventListener('click', () => {
  if (!isAble(find('.od-clear'))) return;
  sender.forget(items);
  items = [];
  refused = false;
  hideProblem();
  note();
  match();
  find('.od-choose').focus();
});

// --- ratings -----------------------------------------------------------------------------------------

async function readTable(file) {
  let read = null;
  try {
    if (file.size <= MOST_TABLE_BYTES) read = parseRatings(decodeText(await file.arrayBuffer(), lang));
  } catch { /* said below: it cannot be read */ }
  if (!read?.ratings.length) {
    showProblem(say('bad_table', { name: file.name }));
    return;
  }
  ratings = { ...read, name: file.name };
  match();
}
/** Give each picture the rating that the table has for it. */
function match() {
  matched = ratings ? matchRatings(ratings.ratings, items.map((item) => item.path)) : { found: new Map(), lost: [] };
  items.forEach((item, n) => { item.rating = matched.found.get(n) ?? null; });
  evaluation = null;
  arrangeNow();
  showFigures();
  evaluate();
}
find('.od-rate').addEventListener('click', () => find('.od-rate-file').click());
find('.od-rate-file').addEventListener('change', () => {
  const [file] = find('.od-rate-file').files;
  find('.od-rate-file').value = '';
  hideProblem();
  if (file) readTable(file);
});
find('.od-unrate').addEventListener('click', () => {
  ratings = null;
  match();
  find('.od-rate').focus();
});

let asked = 0;
async function evaluate() {
  const mine = ++asked;
  if (!ratings || sender.active || judging === version) return;
  const pictures = scored().filter((item) => item.rating !== null)
    .map(({ score, rating }) => ({ score, rating }));
  evaluation = { rated: pictures.length };
  if (new Set(pictures.map(({ rating }) => rating)).size > 1) {
    let answer = null;
    try {
      answer = await source.evaluate(pictures);
    } catch (error) {
      if (mine === asked) refuse(error);
      return;
    }
    if (mine !== asked) return;
    evaluation = answer;
  }
  showFigures();
}
const exact = (value) => value === null || value === undefined ? '–' : figure(value, 3);
function showFigures() {
  figures.hidden = !ratings;
  if (!ratings) return;
  write(find('.od-rated'), say('rated', {
    rated: amount(order.filter((item) => item.rating !== null).length), count: amount(order.length), name: ratings.name,
  }));
  find('.od-ndcg').replaceChildren(...CUTS.map((k) => {
    const pair = make('div');
    pair.title = say('ndcg_title', { k });
    pair.append(make('dt', '', say('ndcg', { k })), make('dd', '', exact(evaluation?.ndcg?.[k])));
    return pair;
  }));
  const { pairwise_accuracy: pairwise, kendall_tau: tau } = evaluation ?? {};
  const waits = say(evaluation ? 'figures_few' : 'figures_wait');
  write(find('.od-pairwise'), Number.isFinite(pairwise)
    ? say('pairwise', { percent: `${(100 * pairwise).toFixed(0)}%` }) : waits);
  write(find('.od-tau'), Number.isFinite(tau) ? say('tau', { tau: figure(tau, 2) }) : '');
  const some = (all) => all.slice(0, NAMES_TOLD).join(words.comma) + (all.length > NAMES_TOLD ? ' …' : '');
  const { lost } = matched;
  write(find('.od-lost'), [
    items.length && lost.length
      ? say(lost.length === 1 ? 'lost_one' : 'lost', { count: amount(lost.length), names: some(lost) }) : '',
    ratings.bad.length ? say('bad_rows', { lines: some(ratings.bad) }) : '',
  ].filter(Boolean).join(words.gap));
  figures.dataset.state = evaluation ? 'done' : 'waiting';
}

// --- out ---------------------------------------------------------------------------------------------

topField.addEventListener('input', () => arrangeNow());

function table() {
  const chosen = ranked();
  const rated = chosen.some((item) => item.rating !== null);
  const head = ['rank', 'score', 'file', ...(rated ? ['rating'] : [])];
  // A spreadsheet knows UTF-8 by this mark.
  return '\ufeff' + tableText([head, ...chosen.map((item) => [
    item.rank, Number(item.score.toFixed(6)), item.path, ...(rated ? [item.rating ?? ''] : []),
  ])]);
}
csvButton.addEventListener('click', () => {
  if (!isAble(csvButton)) return;
  download(new Blob([table()], { type: 'text/csv' }), 'order.csv');
  news.textContent = say('saved', { name: 'order.csv' });
});

let zipping = null;
zipButton.addEventListener('click', async () => {
  if (zipping) {
    zipping.abort();
    return;
  }
  if (!isAble(zipButton)) return;
  hideProblem();
  const chosen = ranked();
  const label = zipButton.querySelector('span');
  zipping = new AbortController();
  try {
    const archive = await storedZip([
      { name: 'order.csv', blob: new Blob([table()], { type: 'text/csv' }) },
      ...chosen.map(({ file, path, rank }) => ({ name: entryName(rank, chosen.length, path), blob: file })),
    ], {
      signal: zipping.signal,
      told(read, all) { write(label, say('zip_busy', { percent: `${Math.floor(100 * read / all)}%` })); },
    });
    download(archive, 'order.zip');
    news.textContent = say('saved', { name: 'order.zip' });
  } catch (error) {
    if (error instanceof RangeError) showProblem(say('zip_large'));
    else if (error.name !== 'AbortError') showProblem(say('zip_gone', { name: error.entry?.name ?? '' }));
  }
  zipping = null;
  write(label, say('zip'));
  showCourse();
});

// --- one picture, large ------------------------------------------------------------------------------

const largePicture = find('.od-large-picture');
let largeItem = null;
function showLarge(index) {
  const item = grid.items[index];
  if (!item) return;
  if (largePicture.src) URL.revokeObjectURL(largePicture.src);
  largeItem = item;
  large.dataset.preview = 'none';
  largePicture.src = URL.createObjectURL(item.file);
  largePicture.alt = item.path;
  find('.od-large-name').textContent = item.path;
  find('.od-large-unseen').textContent = say('large_unseen', { name: item.file.name });
  find('.od-large-facts').textContent = item.state !== 'done' ? say('large_waiting') : [
    say('large_facts', { rank: amount(item.rank), count: amount(scored().length), score: figure(item.score, 2) }),
    item.rating !== null && say('large_rated', { rating: plainNumber(item.rating) }),
  ].filter(Boolean).join(words.separator);
  find('.od-before').disabled = index === 0;
  find('.od-after').disabled = index === grid.items.length - 1;
  find('.od-versus').hidden = index === grid.items.length - 1;
  if (!large.open) large.showModal();
}
largePicture.addEventListener('load', () => { large.dataset.preview = 'shown'; });
largePicture.addEventListener('error', () => { large.dataset.preview = 'impossible'; });
const largeIndex = () => grid.items.indexOf(largeItem);
find('.od-before').addEventListener('click', () => showLarge(largeIndex() - 1));
find('.od-after').addEventListener('click', () => showLarge(largeIndex() + 1));
find('.od-close').addEventListener('click', () => large.close());
large.addEventListener('click', (event) => { if (event.target === large) large.close(); });
large.addEventListener('keydown', (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  showLarge(largeIndex() + step);
});
large.addEventListener('close', () => {
  const index = largeIndex();
  URL.revokeObjectURL(largePicture.src);
  largePicture.removeAttribute('src');
  largeItem = null;
  if (here()) grid.focus(index);
});
find('.od-place').addEventListener('click', () => {
  const { file } = largeItem;
  large.close();
  exploreWish({ file });
});
find('.od-versus').addEventListener('click', () => {
  const [left, right] = [largeItem, grid.items[largeIndex() + 1]];
  large.close();
  document.dispatchEvent(new CustomEvent('tagger:compare-open', {
    detail: { section: 'two', left: { file: left.file }, right: { file: right.file } },
  }));
});

// --- at last -----------------------------------------------------------------------------------------

/** Ask what can judge, when the section is opened; a taste may have learnt since. */
async function opened() {
  grid.refresh();
  const before = JSON.stringify(choice.value.ranker);
  try {
    await choice.refresh();
  } catch (error) {
    refuse(error);
    return;
  }
  element.dataset.rankers = 'true';
  const now = choice.value.ranker;
  if (before !== JSON.stringify(now) || now === 'taste') {
    if (items.some((item) => item.state === 'done')) judgeAnew();
  }
}
document.addEventListener('tagger:compare', (event) => { if (event.detail?.section === 'order') opened(); });
if (document.documentElement.dataset.compare === 'order') opened();
match();
element.dataset.ready = 'true';
