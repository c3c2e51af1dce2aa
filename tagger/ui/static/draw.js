/* The Draw tab in the browser, after common.js and the parts it is made of.
 *
 * The pad holds the drawing, `live` asks for its words while it changes, the rows show them. What is
 * saved goes through `call`, which shows what is wrong where it fails. The game borrows the pad.
 */
const DRAFT = 'tagger-drawing';
const GAP = 40; // milliseconds between two questions at least

const canvas = find('.dr-pad');
const easel = find('.dr-easel');
const results = find('.dr-results');
const list = find('.dr-rows');
const model = find('.dr-model');
const offline = find('.dr-offline');
const problem = find('.tg-problem');
const news = find('.tg-news');
const field = find('.dr-label .dr-field');
const saveButton = find('.dr-save');
const status = find('.dr-status');
const unsave = find('.dr-unsave');
const consent = find('.dr-label .dr-consent input');
const give = find('.dr-game .dr-consent input');

translate({ known: props.known });

// --- the server --------------------------------------------------------------------------------------

async function call(name, data) {
  let answer = null;
  try {
    answer = await server[name]({ ...data, visitor, lang });
  } catch { /* said below: there is no answer */ }
  if (answer && !answer.problem) return answer;
  showProblem(answer?.problem ?? say('no_answer'));
  return null;
}

function showProblem(message) {
  problem.hidden = false;
  find('.tg-message').textContent = message;
}
function hideProblem() {
  problem.hidden = true;
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', () => { hideProblem(); canvas.focus(); });

// --- the words ---------------------------------------------------------------------------------------

// A row belongs to a word and glides to its place: one sees what rises and what falls.
let ranked = [];
let picked = '';
const rowOf = new Map();
const spare = Array.from({ length: props.top }, () => {
  const item = make('li', 'dr-place');
  const button = make('button', 'dr-row');
  button.type = 'button';
  const row = { item, button, entry: null };
  row.name = make('span', 'dr-name');
  row.chip = make('span', 'dr-yours', say('yours'));
  row.percent = make('span', 'dr-percent');
  row.bar = make('span', 'dr-bar');
  row.fill = make('span', 'dr-fill');
  row.bar.append(row.fill);
  button.append(row.name, row.chip, row.percent, row.bar);
  for (const part of button.children) part.setAttribute('aria-hidden', 'true');
  button.addEventListener('click', () => {
    if (!row.entry) return;
    picker.text = row.entry.label;
    saveButton.focus({ preventScroll: true });
  });
  item.append(button);
  list.append(item);
  return row;
});
const allRows = [...spare];

function fillRow(row, entry, rank) {
  const fresh = row.entry?.word !== entry.word;
  row.entry = entry;
  row.rank = rank;
  row.button.disabled = false;
  row.item.dataset.state = 'full';
  row.item.classList.toggle('dr-first', rank === 0);
  // A row that is taken for another word starts from where it will stand.
  row.item.classList.toggle('dr-fresh', fresh);
  row.item.style.setProperty('--dr-rank', rank);
  write(row.name, entry.label);
  row.chip.hidden = !entry.learnt;
  write(row.percent, percent(entry.probability));
  row.fill.style.transform = `scaleX(${entry.probability})`;
  row.button.tabIndex = rank === 0 ? 0 : -1;
  row.button.setAttribute('aria-label', say('row', {
    rank: rank + 1, word: entry.label, percent: percent(entry.probability),
  }));
}

function emptyRow(row, rank) {
  row.entry = null;
  row.rank = rank;
  row.button.disabled = true;
  row.item.dataset.state = 'none';
  row.item.classList.remove('dr-first', 'dr-fresh');
  row.item.style.setProperty('--dr-rank', rank);
  write(row.name, '');
  write(row.percent, '');
  row.chip.hidden = true;
  row.fill.style.transform = 'scaleX(0)';
  row.button.setAttribute('aria-label', '');
}

function showWords(entries, number) {
  ranked = entries.slice(0, props.top);
  const wanted = new Set(ranked.map((entry) => entry.word));
  for (const [word, row] of rowOf) {
    if (!wanted.has(word)) {
      rowOf.delete(word);
      spare.push(row);
    }
  }
  ranked.forEach((entry, rank) => {
    if (!rowOf.has(entry.word)) rowOf.set(entry.word, spare.pop());
    fillRow(rowOf.get(entry.word), entry, rank);
  });
  spare.forEach((row, i) => emptyRow(row, ranked.length + i));
  list.dataset.answer = number;
  showPicked();
  showGuess();
}

// In the page's order, too, for those who hear it or walk by keys; not under somebody's hand.
function settleRows() {
  if (list.contains(document.activeElement)) return;
  const order = [...allRows].sort((a, b) => a.rank - b.rank).map((row) => row.item);
  if (order.some((item, i) => item !== list.children[i])) list.append(...order);
}

list.addEventListener('keydown', (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -allRows.length, End: allRows.length };
  const step = steps[event.key];
  const filled = allRows.filter((row) => row.entry).sort((a, b) => a.rank - b.rank);
  const here = filled.findIndex((row) => row.button === document.activeElement);
  if (step === undefined || here < 0) return;
  event.preventDefault();
  const next = filled[Math.min(filled.length - 1, Math.max(0, here + step))];
  for (const row of filled) row.button.tabIndex = row === next ? 0 : -1;
  next.button.focus();
});

function showPicked() {
  for (const row of allRows) {
    row.button.setAttribute('aria-pressed', String(Boolean(picked) && row.entry?.label === picked));
  }
}

const guess = find('.dr-guess');
function showGuess() {
  if (game.round) return;
  const [first] = ranked;
  const key = !pad.strokes.length ? 'guess_none'
    : !first ? 'guess_wait'
      : first.probability >= 0.5 ? 'guess_sure' : 'guess_maybe';
  guess.dataset.sure = String(key === 'guess_sure');
  write(guess, say(key, { word: first?.label }));
}

function announce() {
  const spoken = ranked.slice(0, 3).map((entry) =>
    say('heard_word', { word: entry.label, percent: percent(entry.probability) }));
  if (spoken.length) news.textContent = say('heard', { words: spoken.join(words.comma) });
}

// --- live --------------------------------------------------------------------------------------------

const live = createLive({
  gap: GAP,
  ask: (number) => server.recognise({ seq: number, strokes: pad.sketch(), visitor, lang }),
  show(answer, number) {
    showWords(answer.words, number);
    write(model, say('model_line', answer));
    write(offline, '');
    game.guessed(ranked);
    if (live.settled) settle();
  },
  trouble(answer) {
    write(offline, answer?.problem ?? say('no_answer_live'));
  },
});

// The words are those of the drawing as it stands.
function settle() {
  results.dataset.state = pad.strokes.length ? 'done' : 'empty';
  results.setAttribute('aria-busy', 'false');
  if (resting) {
    settleRows();
    announce();
  }
}

// --- the pad -----------------------------------------------------------------------------------------

let resting = true; // no stroke is being drawn
const pad = createPad(canvas, {
  changed(final) {
    const began = resting && !final;
    resting = final;
    const some = pad.strokes.length > 0;
    easel.dataset.state = some ? 'some' : 'empty';
    if (some) {
      results.dataset.state = ranked.length ? 'busy' : 'waiting';
      results.setAttribute('aria-busy', 'true');
      live.changed();
    } else {
      live.forget();
      showWords([], 0);
      write(model, '');
      settle();
    }
    if (!began && !final) return; // the stroke grows, and what can be done stays the same
    if (final) keepDraft();
    showGuess();
    showTools();
  },
  told: showTools,
});

function keepDraft() {
  if (mode === 'game') return;
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(toJson(pad.strokes)));
  } catch { /* a browser that keeps nothing */ }
}
function readDraft() {
  try {
    return fromJson(JSON.parse(sessionStorage.getItem(DRAFT) ?? '[]'));
  } catch {
    return [];
  }
}

const tools = Object.fromEntries(findAll('.dr-tools [data-tool]').map((node) => [node.dataset.tool, node]));
const acts = Object.fromEntries(findAll('.dr-tools [data-act]').map((node) => [node.dataset.act, node]));
for (const node of findAll('.dr-tools button')) node.title = say(node.dataset.label) + (node.dataset.keys ? ` (${node.dataset.keys})` : '');

function showTools() {
  const some = pad.strokes.length > 0;
  for (const [name, node] of Object.entries(tools)) {
    node.setAttribute('aria-pressed', String(pad.tool === name));
  }
  // Not `disabled`: a button that is pressed away under the focus would drop it.
  const usable = {
    undo: pad.canUndo, redo: pad.canRedo, clear: some, png: some, svg: some, bring: mode === 'free',
  };
  for (const [name, on] of Object.entries(usable)) {
    const changes = name !== 'png' && name !== 'svg';
    acts[name].setAttribute('aria-disabled', String(!on || (changes && pad.locked)));
  }
  showSave();
}

for (const [name, node] of Object.entries(tools)) {
  node.addEventListener('click', () => { pad.tool = name; });
}
const doing = {
  undo: () => pad.undo(),
  redo: () => pad.redo(),
  clear: () => pad.clear(),
  bring: () => find('.dr-file').click(),
  png: downloadPng,
  svg: () => download(new Blob([svgFile(pad.strokes)], { type: 'image/svg+xml' }), 'svg'),
};
for (const [name, node] of Object.entries(acts)) {
  node.addEventListener('click', () => {
    if (node.getAttribute('aria-disabled') !== 'true') doing[name]();
  });
}

// Keys that work anywhere in the tab, but not where somebody writes.
const here = () => element.isConnected && element.offsetParent !== null;
document.addEventListener('keydown', (event) => {
  const at = event.target instanceof Element ? event.target : document.body;
  if (!here() || event.isComposing || event.altKey) return;
  if (at.closest('input:not([type=checkbox], [type=radio], [type=file]), textarea, select, [contenteditable]')) return;
  if (!element.contains(at) && at !== document.body) return;
  const command = event.ctrlKey || event.metaKey;
  // What stands alone belongs to the drawing: elsewhere somebody may mean something else by it.
  if (!command && at !== document.body && !at.closest('.dr-left, .dr-modes, .dr-rows')) return;
  const key = event.key.toLowerCase();
  const act = command
    ? (key === 'z' ? (event.shiftKey ? 'redo' : 'undo') : key === 'y' ? 'redo' : null)
    : { delete: 'clear', backspace: 'clear' }[key] ?? null;
  const tool = command ? null : { p: 'pen', b: 'pen', e: 'eraser' }[key];
  if (act) acts[act].click();
  else if (tool) tools[tool].click();
  else return;
  event.preventDefault();
});

// --- out and in --------------------------------------------------------------------------------------

function download(blob, kind) {
  const link = make('a');
  link.href = URL.createObjectURL(blob);
  const name = picker.text.replace(/[^\p{L}\p{N} _-]/gu, '').trim().slice(0, 60);
  link.download = `${name || 'drawing'}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function downloadPng() {
  const side = 2 * SIDE;
  const sheet = document.createElement('canvas');
  sheet.width = sheet.height = side;
  const context = sheet.getContext('2d');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, side, side);
  context.scale(side / SIDE, side / SIDE);
  context.strokeStyle = '#000';
  for (const stroke of pad.strokes) inkStroke(context, stroke);
  sheet.toBlob((blob) => download(blob, 'png'), 'image/png');
}

async function bring(file) {
  hideProblem();
  if (mode !== 'free') return;
  let strokes = [];
  if (file.type === 'image/svg+xml' || /\.svg$/i.test(file.name)) {
    if (file.size <= props.max_svg_bytes) strokes = strokesOfSvg(await file.text());
    if (!strokes.length) {
      showProblem(say('bad_svg', { name: file.name }));
      return;
    }
  } else {
    if (file.size > props.max_bytes) {
      showProblem(say('too_large', { size: bytes(file.size), limit: bytes(props.max_bytes) }));
      return;
    }
    easel.dataset.busy = 'true';
    news.textContent = say('reading', { name: file.name });
    let answer = null;
    try {
      answer = await server.trace_picture({ binary: true, data: { picture: file, lang } });
    } catch { /* said below: there is no answer */ }
    easel.dataset.busy = '';
    if (mode !== 'free') return;
    if (!answer?.strokes) {
      showProblem(answer?.problem ?? say('no_answer'));
      return;
    }
    strokes = thinned(fitted(fromJson(answer.strokes)));
  }
  pad.replace(strokes);
  news.textContent = say('brought', { name: file.name });
}

const fileInput = find('.dr-file');
fileInput.addEventListener('change', () => {
  const [file] = fileInput.files;
  if (file) bring(file);
  fileInput.value = ''; // so that the same file can be chosen again
});
// The whole window takes a drop: a file let go beside the pad must not replace the page.
const carries = (event) => here() && event.dataTransfer?.types.includes('Files');
document.addEventListener('dragover', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  easel.classList.add('dr-over');
});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) easel.classList.remove('dr-over');
});
document.addEventListener('drop', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  easel.classList.remove('dr-over');
  const [file] = event.dataTransfer.files;
  if (file) bring(file);
});
document.addEventListener('paste', (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (!here() || !file) return;
  event.preventDefault();
  bring(file);
});

// --- labels ------------------------------------------------------------------------------------------

let saving = false;
let latest = null; // {saved, strokes}: what was saved last, to be taken back
const ask = async (query) => {
  try {
    return (await server.complete({ query, visitor, lang }))?.words ?? null;
  } catch {
    return null; // the field works without its list
  }
};
const picker = createPicker(field, find('#dr-words'), {
  ask,
  changed() {
    picked = field.value.trim();
    showPicked();
    showSave();
  },
  entered: () => saveButton.click(),
});

function showSave() {
  const ready = pad.strokes.length > 0 && picked !== '' && mode === 'free';
  saveButton.setAttribute('aria-disabled', String(!ready || saving));
  write(saveButton, picked ? say('save_as', { word: picked }) : say('save'));
  if (!latest) tell(say(pad.strokes.length ? 'pick_hint' : 'draw_hint'));
}
function tell(text, state = 'hint') {
  write(status, text);
  status.dataset.state = state;
  unsave.hidden = state !== 'saved';
}

const key = () => Array.from(crypto.getRandomValues(new Uint8Array(8)),
  (byte) => byte.toString(16).padStart(2, '0')).join('');
const predictions = (entries) => entries.map(({ word, probability }) => [word, probability]);

saveButton.addEventListener('click', async () => {
  if (saving || saveButton.getAttribute('aria-disabled') === 'true') {
    (pad.strokes.length ? field : canvas).focus();
    return;
  }
  saving = true;
  showSave();
  hideProblem();
  const strokes = pad.strokes;
  const answer = await call('save_drawing', {
    strokes: toJson(strokes), label: picked, consent: consent.checked, kind: 'label', key: key(),
    predicted: predictions(ranked),
  });
  saving = false;
  if (answer) {
    latest = { saved: answer.saved, strokes };
    const { progress } = answer;
    const kept = progress.missing > 0; // a word that is being taught: the next drawing is its, too
    pad.clear();
    picker.text = kept ? answer.saved.label : '';
    const learnt = progress.learns ? 'saved_learnt' : 'saved';
    tell(say(kept ? 'saved_missing' : learnt, { ...answer.saved, ...progress }), 'saved');
    news.textContent = status.textContent;
    gallery.load();
    canvas.focus({ preventScroll: true });
  }
  showTools();
});

unsave.addEventListener('click', async () => {
  if (!latest || !(await call('remove', { id: latest.saved.id }))) return;
  const { saved, strokes } = latest;
  latest = null;
  pad.replace(strokes);
  picker.text = saved.label;
  tell(say('unsaved', saved));
  news.textContent = status.textContent;
  canvas.focus({ preventScroll: true });
  gallery.load();
});

// --- the gallery -------------------------------------------------------------------------------------

const relabelField = find('.dr-panel .dr-field');
const relabelButton = find('.dr-relabel');
const pickWord = createPicker(relabelField, find('#dr-other-words'), {
  ask,
  changed() { /* nothing depends on it before the button */ },
  entered: () => relabelButton.click(),
});
const gallery = createGallery({
  call,
  pickWord,
  places: {
    root: find('.dr-gallery'), sum: find('.dr-sum'), chips: find('.dr-counts'),
    tiles: find('.dr-tiles'), more: find('.dr-more'), withdraw: find('.dr-withdraw'),
    panel: find('.dr-panel'), large: find('.dr-large'), open: find('.dr-open'),
    close: find('.dr-close'), remove: find('.dr-remove'), relabel: relabelButton, relabelField,
    told(text) { news.textContent = find('.dr-told').textContent = text; },
  },
  take(drawing) {
    setMode('free');
    pad.replace(fitted(fromJson(drawing.strokes)));
    picker.text = drawing.label;
    easel.scrollIntoView({ block: 'nearest' });
    canvas.focus({ preventScroll: true });
  },
  changed(answer) {
    const { everyone, next } = answer;
    find('.dr-everyone').textContent = say('everyone', { count: everyone, next, left: next - everyone });
    find('.dr-goal-fill').style.transform = `scaleX(${everyone / next})`;
    // What was learnt or forgotten may name the drawing otherwise.
    if (pad.strokes.length) live.changed();
  },
});

// --- the game ----------------------------------------------------------------------------------------

let mode = 'free';
let aside = null; // the free drawing, while the game has the pad
const verdict = find('.dr-verdict');
const game = createGame({
  call,
  seconds: props.seconds,
  hooks: {
    begin(round) {
      live.forget();
      pad.locked = false;
      pad.exchange(null);
      verdict.hidden = true;
      easel.dataset.phase = 'round';
      find('.dr-task-word').textContent = round.label;
      news.textContent = say('task_heard', { word: round.label, seconds: props.seconds });
      find('.dr-skip').hidden = false;
      canvas.focus({ preventScroll: true });
    },
    tick(left) {
      find('.dr-clock').textContent = say('clock', { seconds: Math.ceil(left) });
      find('.dr-time').style.transform = `scaleX(${left / props.seconds})`;
      easel.dataset.hurry = String(left <= 5);
    },
    end(round, rounds) {
      round.strokes = pad.strokes;
      pad.locked = true;
      easel.dataset.phase = 'result';
      easel.dataset.hurry = 'false';
      find('.dr-skip').hidden = true;
      showVerdict(round);
      showRounds(rounds);
      giveRounds();
      showTools();
      find('.dr-next').focus({ preventScroll: true });
    },
  },
});

function showVerdict(round) {
  const drawn = round.strokes.length > 0;
  verdict.dataset.won = String(round.won);
  find('.dr-verdict-line').textContent = round.won
    ? say('won', { word: round.label, seconds: round.seconds.toFixed(1) })
    : say(drawn ? 'lost' : 'lost_empty', { word: round.label });
  const seen = (round.guess ?? []).slice(0, 3).map((entry) => entry.label).join(words.comma);
  find('.dr-verdict-seen').textContent = !round.won && drawn && seen ? say('saw', { words: seen }) : '';
  find('.dr-next').textContent = say('next_word');
  verdict.hidden = false;
  news.textContent = [find('.dr-verdict-line'), find('.dr-verdict-seen')]
    .map((node) => node.textContent).filter(Boolean).join(words.gap);
}

function showRounds(rounds) {
  const won = rounds.filter((round) => round.won).length;
  find('.dr-score').textContent = rounds.length ? say('score', { won, count: rounds.length }) : say('score_none');
  find('.dr-rounds').replaceChildren(...rounds.map((round) => {
    const item = make('li', 'dr-round');
    item.dataset.won = String(round.won);
    item.dataset.saved = String(Boolean(round.saved));
    item.append(svgPicture(round.strokes), make('span', 'dr-caption', round.label));
    item.setAttribute('aria-label', say(round.won ? 'round_won' : 'round_lost', { word: round.label }));
    return item;
  }));
}

// With consent, and only so, a game's drawings are kept: those before it was given, too.
let giving = false;
async function giveRounds() {
  if (giving || !give.checked) return;
  giving = true;
  let some = false;
  for (const round of game.rounds) {
    if (round.saved || !round.strokes.length || !give.checked) continue;
    round.key ??= key();
    const answer = await call('save_drawing', {
      strokes: toJson(round.strokes), label: round.word, consent: true, kind: 'game', key: round.key,
      predicted: predictions(round.guess ?? []),
    });
    if (!answer) break;
    round.saved = answer.saved;
    some = true;
  }
  giving = false;
  if (!some) return;
  showRounds(game.rounds);
  gallery.load();
  giveRounds(); // one may have ended meanwhile
}
give.addEventListener('change', giveRounds);

find('.dr-next').addEventListener('click', () => game.next());
find('.dr-skip').addEventListener('click', () => game.skip());

function setMode(wanted) {
  if (wanted === mode) return;
  find(`.dr-modes [value=${wanted}]`).checked = true;
  pad.locked = false;
  mode = element.dataset.mode = wanted;
  hideProblem();
  game.stop();
  easel.dataset.phase = wanted === 'game' ? 'intro' : '';
  verdict.hidden = wanted !== 'game';
  find('.dr-label').hidden = wanted === 'game';
  find('.dr-game').hidden = wanted !== 'game';
  list.inert = wanted === 'game';
  if (wanted === 'game') {
    aside = pad.exchange(null);
    pad.locked = true;
    verdict.dataset.won = '';
    find('.dr-verdict-line').textContent = say('game_title');
    find('.dr-verdict-seen').textContent = say('game_intro', { seconds: props.seconds });
    find('.dr-next').textContent = say('start');
    find('.dr-skip').hidden = true;
    showRounds([]);
  } else {
    pad.exchange(aside);
    aside = null;
  }
  showTools();
  showGuess();
}
find('.dr-modes').addEventListener('change', (event) => setMode(event.target.value));

// --- at last -----------------------------------------------------------------------------------------

element.dataset.mode = mode;
showWords([], 0);
settle();
tell(say('draw_hint'));
const draft = readDraft();
if (draft.length) pad.replace(draft);
pad.tool = 'pen';
gallery.load();
element.dataset.ready = 'true';
