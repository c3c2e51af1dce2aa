/* The owner's report on votes in the browser, after common.js and compare_source.js.
 *
 * Whoever has the owner's token sees what all votes say; the window keeps it, for the Draw tab's
 * section, too.
 */
const KEY = 'tagger-owner';
const AT_ONCE = 24; // standings that are shown at first
const STEPS = [0.25, 0.5, 1, 2, 5, 10, 20]; // between two marks of the axis
const MOST_MARKS = 7;
// In the order in which they lie from the left to the right.
const CHOICES = { left: 'choice_left', tie: 'choice_tie', right: 'choice_right', 'both-bad': 'choice_bad', skip: 'choice_skip' };
const REASONS = { 'one-sided': 'one_sided', 'unlike-others': 'unlike_others', 'too-quick': 'too_quick' };

const frame = find('.rp-frame');
const problem = find('.tg-problem');
const news = find('.tg-news');
const refused = find('.rp-refused');
const tokenField = find('.rp-token');
const list = find('.rp-list');
const all = find('.rp-all');

translate({});

const source = createCompareSource({ base, visitor, lang, noAnswer: say('no_answer') });
const share = (value) => (100 * value).toFixed(1) + '%';
const strength = (value) => (Math.abs(value) < 0.005 ? 0 : value).toFixed(2).replace('-', '−');
const tell = (text) => { news.textContent = text; };

let token = '';
let looked = 0; // number of the last look at the server

// --- messages ----------------------------------------------------------------------------------------

function showProblem(message) {
  if (frame.dataset.state === 'locked') {
    refused.textContent = message;
    return;
  }
  problem.hidden = false;
  find('.tg-message').textContent = message;
}
function hideProblem() {
  problem.hidden = true;
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', hideProblem);

// --- the door ----------------------------------------------------------------------------------------

function keptToken() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return token; // a browser that keeps nothing: it lives as long as the page
  }
}
function keepToken(text) {
  token = text;
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch { /* as above */ }
}
function lock(message = '') {
  looked++;
  token = '';
  hideProblem();
  list.replaceChildren();
  frame.dataset.state = 'locked';
  refused.textContent = message;
}

/** Ask for the report and show it; whether it could be had. */
async function look() {
  const mine = ++looked;
  hideProblem();
  if (frame.dataset.state === 'locked') refused.textContent = '';
  let report = null;
  try {
    report = await source.report(token);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (mine !== looked) return false;
    if (error.code === 'owner-only') {
      keepToken('');
      lock(say('wrong_token'));
    } else {
      if (frame.dataset.state === 'loading') frame.dataset.state = 'locked';
      showProblem(error.message);
    }
    return false;
  }
  if (mine !== looked) return false;
  keepToken(token);
  show(report);
  return true;
}
find('.rp-door').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = tokenField.value.trim();
  if (!text) {
    tokenField.focus();
    return;
  }
  token = text;
  if (await look()) {
    document.dispatchEvent(new CustomEvent('tagger:owner', { detail: { token } }));
    tokenField.value = '';
    tell(say('opened'));
    find('.rp-leave').focus({ preventScroll: true });
  } else {
    token = '';
    tokenField.select();
  }
});
find('.rp-leave').addEventListener('click', () => {
  keepToken('');
  lock();
  document.dispatchEvent(new CustomEvent('tagger:owner', { detail: { token: '' } }));
  tell(say('left'));
  tokenField.focus();
});
find('.rp-renew').addEventListener('click', async () => { if (await look()) tell(say('renewed')); });

// The Draw tab's section knows the same token.
document.addEventListener('tagger:owner', ({ detail }) => { if (token && !detail.token) lock(); });

// --- the report --------------------------------------------------------------------------------------

function show(report) {
  frame.dataset.state = report.votes ? 'open' : 'empty';
  write(find('.rp-sum'), say('sum', { votes: amount(report.votes), voters: amount(report.voters) }));
  showChoices(report);
  showTrust(report);
  showStandings(report, false);
}

function showChoices({ choices, votes }) {
  const shares = [];
  const lines = [];
  for (const [choice, key] of Object.entries(CHOICES)) {
    const count = choices[choice] ?? 0;
    const piece = make('i');
    piece.dataset.choice = choice;
    piece.style.flexGrow = count;
    if (count) shares.push(piece);
    const line = make('li');
    const mark = make('i');
    mark.dataset.choice = choice;
    line.append(mark, make('span', '', say('choice', {
      label: say(key), count: amount(count), percent: share(votes ? count / votes : 0),
    })));
    lines.push(line);
  }
  find('.rp-shares').replaceChildren(...shares);
  find('.rp-choices').replaceChildren(...lines);
}

function showTrust({ left, duplicates, suspects }) {
  const { value, low, high, count } = left;
  const side = !count || value === null ? 'side_none' : low > 0.5 ? 'side_left' : high < 0.5 ? 'side_right' : 'side_even';
  write(find('.rp-side'), say(side, side === 'side_none' ? {} : {
    value: share(value), low: share(low), high: share(high), count: amount(count),
  }));
  find('.rp-side').dataset.even = String(side === 'side_even' || side === 'side_none');
  write(find('.rp-doubles'), say(!duplicates ? 'doubles_none' : duplicates === 1 ? 'doubles_one' : 'doubles',
    { count: amount(duplicates) }));
  find('.rp-nobody').hidden = suspects.length > 0;
  find('.rp-suspects').replaceChildren(...suspects.map(({ voter, votes, reasons }) =>
    make('li', '', say('suspect', {
      voter: voter.slice(0, 8), count: amount(votes),
      reasons: reasons.map((reason) => say(REASONS[reason])).join(words.comma),
    }))));
}

/** What the strengths and their intervals lie between, with marks at round numbers. */
function axisOf(standings) {
  const low = Math.min(0, ...standings.map((one) => one.low));
  const high = Math.max(0, ...standings.map((one) => one.high));
  const step = STEPS.find((one) => (high - low) / one + 1 <= MOST_MARKS) ?? (high - low) / (MOST_MARKS - 2);
  const [from, to] = [Math.floor(low / step) * step, Math.max(Math.ceil(high / step), 1) * step];
  const marks = Array.from({ length: Math.round((to - from) / step) + 1 }, (_, n) => from + n * step);
  return { marks, step, at: (value) => `${100 * (value - from) / (to - from)}%` };
}

function showStandings(report, whole) {
  const { standings, hash } = report;
  find('.rp-standings').hidden = !standings.length;
  const axis = axisOf(standings);
  find('.rp-axis > div').replaceChildren(...axis.marks.map((value) => {
    const mark = make('span', '', axis.step < 1 ? strength(value) : String(Math.round(value)).replace('-', '−'));
    mark.style.insetInlineStart = axis.at(value);
    return mark;
  }));
  const shown = whole ? standings : standings.slice(0, AT_ONCE);
  list.style.setProperty('--rp-zero', axis.at(0));
  list.replaceChildren(...shown.map((one, index) => rowOf(one, index + 1, axis, hash)));
  all.hidden = shown.length === standings.length;
  all.textContent = say('all', { count: amount(standings.length) });
  all.onclick = () => {
    showStandings(report, true);
    list.children[AT_ONCE].querySelector('button')?.focus();
  };
}

function rowOf(one, rank, axis, hash) {
  const { picture } = one;
  const title = !picture ? say('gone') : picture.title || say('untitled');
  const values = {
    rank: amount(rank), title, strength: strength(one.strength), low: strength(one.low), high: strength(one.high),
    wins: String(one.wins), votes: amount(one.votes),
  };
  const row = make('li', 'rp-row');
  const button = make('button', 'rp-picture');
  button.type = 'button';
  button.disabled = !picture;
  button.title = title;
  button.setAttribute('aria-label', say('standing', values));
  if (picture) {
    const image = make('img');
    image.alt = '';
    image.loading = 'lazy';
    image.src = source.image(picture.number, hash);
    button.append(image);
    button.addEventListener('click', () => exploreWish({ number: picture.number }));
  }
  const whisker = make('span', 'rp-whisker');
  const line = make('i', 'rp-line');
  line.style.insetInlineStart = axis.at(one.low);
  line.style.inlineSize = `${Number.parseFloat(axis.at(one.high)) - Number.parseFloat(axis.at(one.low))}%`;
  const dot = make('i', 'rp-dot');
  dot.style.insetInlineStart = axis.at(one.strength);
  whisker.append(line, dot);
  const figures = make('span', 'rp-figures');
  figures.append(make('b', '', values.strength), make('span', '', say('interval', values)),
    make('span', '', say('won', values)));
  row.append(make('span', 'rp-rank', values.rank), button, make('span', 'rp-title', title), whisker, figures);
  // The button says it all.
  for (const part of [...row.children]) if (part !== button && picture) part.setAttribute('aria-hidden', 'true');
  return row;
}

// --- files -------------------------------------------------------------------------------------------

for (const button of findAll('.rp-exports [data-format]')) {
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return;
    const label = button.querySelector('span');
    const { format } = button.dataset;
    button.setAttribute('aria-disabled', 'true');
    label.textContent = say('exporting');
    hideProblem();
    try {
      const response = await source.ask('votes/export', {
        query: { format }, headers: { Authorization: `Bearer ${token}` },
      });
      const name = `votes.${format}`;
      download(await response.blob(), name);
      tell(say('exported', { name }));
    } catch (error) {
      if (error.code === 'owner-only') {
        keepToken('');
        lock(say('wrong_token'));
      } else {
        showProblem(error instanceof Refusal ? error.message : say('no_answer'));
      }
    }
    button.setAttribute('aria-disabled', 'false');
    label.textContent = say(label.dataset.word);
  });
}

// --- at last -----------------------------------------------------------------------------------------

/** The section was opened: with the token that this window has, whichever section was told it. */
function opened() {
  const known = keptToken();
  if (!known) {
    if (frame.dataset.state !== 'locked') lock();
    tokenField.focus({ preventScroll: true });
    return;
  }
  token = known;
  if (frame.dataset.state === 'locked') frame.dataset.state = 'loading';
  look();
}
document.addEventListener('tagger:compare', (event) => { if (event.detail?.section === 'report') opened(); });
if (document.documentElement.dataset.compare === 'report') opened();
element.dataset.ready = 'true';
