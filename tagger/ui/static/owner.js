/* The owner's section in the browser, after common.js and course.js.
 *
 * The server says what there is, as one state; what changed of it is drawn anew. What is drawn keeps
 * the focus and what was opened. While something runs the server is asked again and again.
 */
const KEY = 'tagger-owner';

const frame = find('.ow-frame');
const problem = find('.tg-problem');
const news = find('.tg-news');
const stage = find('.ow-stage');
const running = find('.ow-running');
const last = find('.ow-last');
const cancel = find('.ow-cancel');
const back = find('.ow-back');
const refused = find('.ow-refused');
const tokenField = find('.ow-token');

const share = (value) => (100 * value).toFixed(1) + '%';
const points = (value) => {
  const rounded = Math.round(1000 * value) / 10;
  return (rounded < 0 ? '−' : '+') + Math.abs(rounded).toFixed(1);
};
const number = (value) => Number(value).toLocaleString(lang);
const date = (time) => new Date(time).toLocaleString(lang, { dateStyle: 'medium', timeStyle: 'short' });
const duration = (seconds) => seconds < 100
  ? say('seconds', { count: seconds < 10 ? seconds.toFixed(1) : Math.round(seconds) })
  : say('minutes', { minutes: Math.floor(seconds / 60), seconds: Math.round(seconds % 60) });

translate({ least: props.least });
find('.ow-words-hint').textContent = say('words_hint', { least: props.least });

// --- the server --------------------------------------------------------------------------------------

let token = '';
try {
  token = sessionStorage.getItem(KEY) ?? '';
} catch { /* a browser that keeps nothing */ }
function keepToken(text) {
  token = text;
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch { /* it lives as long as the page */ }
}

let asked = 0;
let shown = 0;
let doing = false; // something was pressed and is not answered yet
let timer = 0;

/** Ask the server; the state that it answers is shown unless a later one is. Null if it failed. */
async function call(name, data = {}, { quiet = false } = {}) {
  const mine = ++asked;
  const key = token;
  let answer = null;
  try {
    answer = await server[name]({ ...data, token: key, lang });
  } catch { /* said below: there is no answer */ }
  if (key !== token) return null; // locked meanwhile
  if (answer?.locked) {
    lock(answer.problem);
    return null;
  }
  if (!answer?.state) {
    // What asks again by itself is quiet about what may pass.
    if (!quiet || !answer?.again) showProblem(answer?.problem ?? say('no_answer'), quiet);
    return null;
  }
  if (problem.dataset.passing === 'true') hideProblem();
  // What was asked in between waits for the answer to what was pressed: who sees that it is done can
  // press the next button.
  if (mine > shown && !(quiet && doing)) {
    shown = mine;
    show(answer.state);
  }
  return answer.state;
}

/** Do what a button stands for, once at a time. */
async function act(name, data = {}) {
  if (doing) return null;
  doing = true;
  hideProblem();
  const answer = await call(name, data);
  doing = false;
  plan();
  return answer;
}

const here = () => element.isConnected && element.offsetParent !== null && !document.hidden;
function plan() {
  clearTimeout(timer);
  if (!token) return;
  const pace = state?.running ? props.pace.running : props.pace.idle;
  timer = setTimeout(async () => {
    if (here() && frame.open && !doing) await call('owner_state', {}, { quiet: true });
    plan();
  }, 1000 * pace);
}

/** `passing`: it goes when the server answers again; else when it has been read. */
function showProblem(message, passing = false) {
  if (frame.dataset.state === 'locked') {
    refused.textContent = message;
    return;
  }
  if (passing && !problem.hidden && problem.dataset.passing === 'false') return;
  problem.hidden = false;
  problem.dataset.passing = String(passing);
  find('.tg-message').textContent = message;
}
function hideProblem() {
  problem.hidden = true;
  problem.dataset.passing = 'false';
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', hideProblem);
const tell = (text) => { news.textContent = text; };

// --- the door ----------------------------------------------------------------------------------------

function lock(message = '') {
  keepToken('');
  clearTimeout(timer);
  state = null;
  drawn.clear();
  frame.dataset.state = 'locked';
  refused.textContent = message;
  hideProblem();
}
async function enter(text) {
  refused.textContent = '';
  keepToken(text);
  const answer = await call('owner_state', {}, { quiet: false });
  plan();
  return answer;
}
find('.ow-door').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = tokenField.value.trim();
  if (!text || doing) {
    tokenField.focus();
    return;
  }
  doing = true;
  const opened = await enter(text);
  doing = false;
  if (opened) {
    tokenField.value = '';
    tell(say('opened'));
    find('.ow-leave').focus({ preventScroll: true });
  } else {
    keepToken('');
    tokenField.select();
  }
});
find('.ow-leave').addEventListener('click', () => {
  lock();
  document.dispatchEvent(new CustomEvent('tagger:owner', { detail: { token: '' } }));
  tell(say('left'));
  tokenField.focus();
});

// The report on votes knows the same token: who is let in or locks there, is or does so here, too.
document.addEventListener('tagger:owner', ({ detail }) => {
  if (!detail.token && token) lock();
  token = detail.token;
});

// --- drawing what is there ---------------------------------------------------------------------------

let state = null;
const drawn = new Map(); // what each part shows, so that nothing is drawn twice

/** Draw a part if `value` is another than before. The focus stays on what has the same name. */
function part(name, value, fill) {
  const text = JSON.stringify(value);
  if (drawn.get(name) === text) return;
  drawn.set(name, text);
  const focused = document.activeElement?.dataset?.name;
  fill();
  if (focused && document.activeElement === document.body) {
    find(`[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

function button(className, text, label, name, act) {
  const node = make('button', className, text);
  node.type = 'button';
  node.dataset.name = name;
  if (label) node.setAttribute('aria-label', label);
  node.addEventListener('click', act);
  return node;
}

function show(next) {
  const before = state;
  state = next;
  frame.dataset.state = 'open';
  refused.textContent = '';
  part('collected', state.collected, () => {
    const { shared, words: count, held_back: held } = state.collected;
    find('.ow-collected').textContent = say('collected', {
      shared: number(shared), words: number(count), held_back: number(held),
    });
  });
  part('words', state.words, showWords);
  part('can', state.can, showCan);
  part('versions', state.versions, showVersions);
  back.setAttribute('aria-disabled', String(!state.previous));
  showStage(before);
  showRuns();
}

// --- new words ---------------------------------------------------------------------------------------

function showWords() {
  const rows = state.words.map((entry) => {
    const row = make('li', 'ow-row');
    const { word } = entry;
    row.dataset.accepted = String(entry.accepted);
    const count = say(entry.drawings === 1 ? 'drawing' : 'drawings', { count: number(entry.drawings) });
    const facts = make('span', 'ow-facts');
    facts.append(make('bdi', 'ow-name', word), make('span', 'ow-fact', count));
    row.append(facts);
    if (entry.accepted) {
      row.append(make('span', 'ow-chip ow-good', say('accepted')));
      row.append(button('tg-quiet', say('undo'), say('undo_word', { word }), `word ${word}`, async () => {
        if (await act('owner_reject', { word })) tell(say('told_undone', { word }));
      }));
    } else {
      row.append(button('ow-small', say('accept'), say('accept_word', { word }), `word ${word}`, async () => {
        if (await act('owner_accept', { word })) tell(say('told_accepted', { word }));
      }));
    }
    return row;
  });
  find('.ow-new').replaceChildren(...(rows.length ? rows : [make('li', 'ow-nothing', say('words_none'))]));
}

// --- learning ----------------------------------------------------------------------------------------

const refit = find('.ow-refit');
const tune = find('.ow-tune');
const layers = find('.ow-layers');
const epochs = find('.ow-epochs');

function showCan() {
  const { can } = state;
  const hint = (key, able, why) => able ? say(key) : say('unavailable', { why });
  refit.setAttribute('aria-disabled', String(!can.refit));
  tune.setAttribute('aria-disabled', String(!can.tune));
  find('.ow-refit-hint').textContent = hint('refit_hint', can.refit, can.why_refit_said);
  find('.ow-tune-hint').textContent = hint('tune_hint', can.tune, can.why_said);
  for (const field of [layers, epochs]) field.disabled = !can.tune;
}

async function start(node, data) {
  if (node.getAttribute('aria-disabled') === 'true') return;
  if (await act('owner_start', data) && state.running) running.focus({ preventScroll: true });
}
refit.addEventListener('click', () => start(refit, { kind: 'refit' }));
tune.addEventListener('click', () => {
  if (!epochs.reportValidity()) return;
  start(tune, { kind: 'tuning', layers: layers.value, epochs: epochs.valueAsNumber });
});
cancel.addEventListener('click', async () => {
  if (!state.running || cancel.getAttribute('aria-disabled') === 'true') return;
  cancel.setAttribute('aria-disabled', 'true');
  cancel.textContent = say('cancelling');
  if (!(await act('owner_cancel', { id: state.running }))) freeCancel();
});
function freeCancel() {
  cancel.setAttribute('aria-disabled', 'false');
  cancel.textContent = say('cancel');
}

let ending = ''; // the run that was running when last looked
function showStage(before) {
  const run = state.runs.find((entry) => entry.id === state.running) ?? null;
  stage.dataset.state = run ? 'running' : 'idle';
  if (run) {
    if (before?.running !== run.id) freeCancel();
    ending = run.id;
    part('running', run, () => showProgress(run));
  }
  const [done] = state.runs.filter((entry) => entry.state !== 'running');
  part('last', done ?? null, () => {
    find('.ow-last-when').textContent = done ? date(done.ended ?? done.started) : '';
    find('.ow-result').replaceChildren(...(done
      ? [chip(done), make('p', 'ow-said', said(done))]
      : [make('p', 'ow-hint', say('last_none'))]));
  });
  if (!run && ending) {
    const ended = state.runs.find((entry) => entry.id === ending);
    ending = '';
    if (ended) tell([say(`state_${outcome(ended)}`), said(ended)].join(words.separator));
    if (running.contains(document.activeElement) || document.activeElement === document.body) {
      last.focus({ preventScroll: true });
    }
  }
}

function showProgress(run) {
  const { done = 0, step = 'starting', curve = [] } = run.progress ?? {};
  const reached = Math.round(100 * Math.min(1, Math.max(0, done)));
  const key = `step_${step}`;
  const name = words[key] ?? words.step_starting;
  const epoch = curve.at(-1)?.epoch;
  const text = step === 'training' && epoch !== undefined ? say('step_epoch', { step: name, epoch }) : name;
  write(find('.ow-what'), say(`running_${run.kind}`));
  running.setAttribute('aria-label', say(`running_${run.kind}`));
  write(find('.ow-step'), say('progress', { step: text, percent: reached + '%' }));
  const bar = find('.ow-bar');
  bar.setAttribute('aria-valuenow', String(reached));
  bar.setAttribute('aria-valuetext', find('.ow-step').textContent);
  find('.ow-fill').style.transform = `scaleX(${reached / 100})`;
  const drawing = drawCourse(curve, 320, 60);
  find('.ow-course').replaceChildren(...(drawing ? [drawing, courseLegend(curve, 'curve_now')] : []));
}

// --- what became of a run ----------------------------------------------------------------------------

function outcome(run) {
  if (run.state !== 'done') return run.state;
  return run.verdict?.passes ? 'live' : 'refused';
}
function said(run) {
  return run.said || (words[`said_${run.state}`] ?? '');
}
function chip(run) {
  const result = outcome(run);
  const kind = { live: 'ow-good', failed: 'ow-bad' }[result] ?? '';
  return make('span', `ow-chip ${kind}`.trim(), say(`state_${result}`));
}

// --- versions ----------------------------------------------------------------------------------------

function showVersions() {
  find('.ow-kept').replaceChildren(...state.versions.map((version) => {
    const row = make('li', 'ow-row');
    row.dataset.current = String(version.current);
    const when = version.created ? date(version.created) : '';
    const facts = make('span', 'ow-facts');
    facts.append(make('bdi', 'ow-name', version.name), make('span', 'ow-fact', [
      say(`kind_${version.kind}`),
      when,
      say('version_words', { count: number(version.words) }),
    ].filter(Boolean).join(words.separator)));
    row.append(facts);
    if (version.current) row.append(make('span', 'ow-chip ow-good', say('in_use')));
    else {
      const label = say('use_version', { name: version.name, date: when || say(`kind_${version.kind}`) });
      row.append(button('ow-small', say('use'), label, `version ${version.id}`, () => change('owner_activate', { id: version.id })));
    }
    return row;
  }));
}
async function change(name, data = {}) {
  if (!(await act(name, data))) return;
  const current = state.versions.find((version) => version.current);
  if (current) {
    tell(say('told_version', {
      name: current.name, date: current.created ? date(current.created) : say(`kind_${current.kind}`),
    }));
  }
  // The button that was pressed is gone with what it stood for.
  if (document.activeElement === document.body) back.focus({ preventScroll: true });
}
back.addEventListener('click', () => {
  if (back.getAttribute('aria-disabled') !== 'true') change('owner_back');
});

// --- runs --------------------------------------------------------------------------------------------

// On a narrow screen a table is laid out as a list, which makes browsers forget that it is one.
const cell = (role, className, ...inside) => {
  const node = make(role === 'columnheader' ? 'th' : 'td', className);
  node.setAttribute('role', role);
  node.append(...inside);
  return node;
};
const rowOf = (className, ...cells) => {
  const node = make('tr', className);
  node.setAttribute('role', 'row');
  node.append(...cells);
  return node;
};
const COLUMNS = ['when', 'kind', 'column_drawings', 'column_words', 'column_frozen', 'column_held',
  'column_curve', 'column_verdict'];

const bodies = new Map(); // of each run
function showRuns() {
  const table = find('.ow-table');
  find('.ow-no-runs').hidden = state.runs.length > 0;
  table.hidden = !state.runs.length;
  if (!table.tHead) {
    const head = make('thead');
    head.setAttribute('role', 'rowgroup');
    head.append(rowOf('', ...COLUMNS.map((key) => cell('columnheader', '', say(key)))));
    table.append(head);
  }
  for (const id of bodies.keys()) {
    if (!state.runs.some((run) => run.id === id)) {
      bodies.get(id).remove();
      bodies.delete(id);
      drawn.delete(`run ${id}`);
    }
  }
  let before = table.tHead;
  for (const run of state.runs) {
    let body = bodies.get(run.id);
    if (!body) {
      body = make('tbody', 'ow-run');
      body.setAttribute('role', 'rowgroup');
      bodies.set(run.id, body);
    }
    part(`run ${run.id}`, run, () => fillRun(body, run));
    if (before.nextSibling !== body) before.after(body);
    before = body;
  }
}

function fillRun(body, run) {
  const { data = {}, verdict } = run;
  const named = (key, ...inside) => {
    const node = cell('cell', inside[0] ? '' : 'ow-absent', ...(inside[0] ? inside : ['–']));
    node.dataset.column = say(key);
    return node;
  };
  const figure = (change) => {
    if (!change?.count) return null;
    const node = make('span', 'ow-figure');
    node.append(make('span', '', share(change.before)), make('i', '', '→'), make('b', '', share(change.after)));
    return node;
  };
  const fresh = data.new_words?.length ?? 0;
  const known = make('span', '', number(data.words ?? 0) + ' ');
  if (fresh) known.append(make('span', 'ow-fact', say('column_new', { count: fresh })));
  const curve = run.progress?.curve ?? [];
  const opened = body.querySelector('details')?.open ?? false;
  const figures = rowOf('ow-figures',
    named('when', date(run.started)),
    named('kind', say(`run_${run.kind}`)),
    named('column_drawings', number(data.drawings ?? 0)),
    named('column_words', known),
    named('column_frozen', figure(verdict?.frozen)),
    named('column_held', figure(verdict?.held_back)),
    named('column_curve', drawCourse(curve, 88, 26)),
    named('column_verdict', chip(run)));
  const more = make('details', 'ow-more');
  more.open = opened;
  const summary = make('summary');
  summary.dataset.name = `run ${run.id}`;
  summary.append(make('span', 'ow-said', said(run)), make('span', 'ow-open', say('details')));
  more.append(summary, details(run, curve));
  const whole = cell('cell', '', more);
  whole.colSpan = COLUMNS.length;
  body.replaceChildren(figures, rowOf('ow-verdict', whole));
}

function details(run, curve) {
  const { data = {}, verdict } = run;
  const list = make('dl', 'ow-details');
  const add = (key, ...values) => {
    const pair = make('div');
    pair.append(make('dt', '', say(key)));
    for (const value of values) pair.append(make('dd', '', value));
    list.append(pair);
  };
  const set = Object.entries(run.parameters ?? {});
  add('parameters', ...(set.length
    ? set.map(([name, value]) => say('parameter', { name, value: typeof value === 'string' ? value : JSON.stringify(value) }))
    : [say('default')]));
  if (data.hash) add('hash', data.hash);
  add('judged_by', number(data.held_back ?? 0));
  add('new_learnt', data.new_words?.length ? data.new_words.join(words.comma) : say('none'));
  for (const [key, change] of [['column_frozen', verdict?.frozen], ['column_held', verdict?.held_back]]) {
    if (!change?.count) continue;
    add(key, say('change', { before: share(change.before), after: share(change.after) }), say('change_of', {
      points: points(change.after - change.before), low: points(change.low), high: points(change.high),
      count: number(change.count),
    }));
  }
  if (Number.isFinite(run.seconds)) add('took', duration(run.seconds));
  if (run.detail) add('log', run.detail);
  const inside = make('div', 'ow-inside');
  inside.append(list);
  const drawing = drawCourse(curve, 320, 96);
  if (drawing) {
    const figure = make('figure', 'ow-course');
    figure.append(make('figcaption', '', say('curve_title', { count: curve.length })), drawing, courseLegend(curve, 'curve_entry'));
    inside.append(figure);
  }
  return inside;
}

// --- at last -----------------------------------------------------------------------------------------

freeCancel();
frame.addEventListener('toggle', () => {
  if (frame.open && token && !doing) call('owner_state', {}, { quiet: true }).then(plan);
  else if (frame.open && !token) tokenField.focus({ preventScroll: true });
});
if (token) {
  frame.dataset.state = 'opening';
  frame.open = true; // and so it is asked for
}
element.dataset.ready = 'true';
