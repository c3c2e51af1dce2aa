/* The Compare tab in the browser, after common.js and the parts that it is made of.
 *
 * The choice above shows one section at a time. The order of a set and the owner's report are
 * components of their own below this one: `data-compare` of the document tells which is chosen, and
 * the events `tagger:compare` (from here) and `tagger:compare-open` (to here) connect them.
 */
const CONSENT = 'tagger-votes-consent';
const SECTIONS = ['vote', 'taste', 'two', 'order', 'report'];
const KEYS = {
  ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'tie', ArrowDown: 'both-bad', ' ': 'skip', z: 'undo', Z: 'undo',
};

const problem = find('.tg-problem');
const news = find('.tg-news');
const consentBox = find('.cp-consent input');
const part = (name) => find(`.cp-section[data-section=${name}]`);

translate({});
for (const node of findAll('[data-title]')) node.title = say(node.dataset.title);
find('.cp-report').hidden = !props.report;

const source = createCompareSource({ base, visitor, lang, noAnswer: say('no_answer') });
const shown = () => element.isConnected && element.offsetParent !== null;
const told = (text) => { news.textContent = text; };
let section = 'vote';
let gallery = null; // {status, hash, count}

// --- messages ----------------------------------------------------------------------------------------

let again = null;
/** What went wrong, to be shown; `retry` is offered where it may pass. */
function failed(error, retry = null) {
  if (!(error instanceof Refusal)) throw error;
  again = error.again ? retry : null;
  problem.hidden = false;
  find('.tg-message').textContent = error.message;
  find('.tg-retry').hidden = !again;
}
function hideProblem() {
  problem.hidden = true;
  find('.tg-message').textContent = '';
}
find('.tg-dismiss').addEventListener('click', () => {
  hideProblem();
  part(section)?.focus({ preventScroll: true });
});
find('.tg-retry').addEventListener('click', () => {
  const retry = again;
  hideProblem();
  retry?.();
});

// --- the parts ---------------------------------------------------------------------------------------

const openPicture = ({ number }) => exploreWish({ number });

try {
  consentBox.checked = localStorage.getItem(CONSENT) === 'yes';
} catch { /* a browser that keeps nothing */ }
consentBox.addEventListener('change', () => {
  try {
    localStorage.setItem(CONSENT, consentBox.checked ? 'yes' : 'no');
  } catch { /* it holds as long as the page lives */ }
});
const consent = () => consentBox.checked;
let byHand = false; // by a pointer: the keys then belong to what is below, not to what was clicked
element.addEventListener('pointerdown', () => { byHand = true; });
element.addEventListener('keydown', () => { byHand = false; });
consentBox.addEventListener('click', () => {
  if (byHand) part('vote').focus({ preventScroll: true });
});

const choice = createRankerChoice(find('.cp-ranker'), find('.cp-ranker-file'), {
  source,
  changed: () => two.compare(),
});
let rankers = [];
async function lookAround() {
  const answer = await choice.refresh();
  ({ rankers, gallery } = answer);
  return answer;
}

const learnt = createLearnt({
  places: {
    root: find('.cp-learnt'), count: find('.cp-count strong'), votes: find('.cp-count span'),
    meter: find('.cp-meter'), foresees: find('.cp-foresees'), range: find('.cp-foresees-range'),
    toGo: find('.cp-to-go'), self: find('.cp-self'), leanings: find('.cp-leanings'), likes: find('.cp-likes'),
    dislikes: find('.cp-dislikes'), dislikesHead: find('.cp-dislikes-head'), best: find('.cp-best'),
    note: find('.cp-best-note'), strip: find('.cp-strip'),
  },
  source,
  shipped: () => rankers.find(({ id, ready }) => id !== 'taste' && ready) ?? null,
  firstWords: props.first_words,
  open: openPicture,
  changed(taste) { part('vote').dataset.count = taste.count; },
  failed,
});

const side = (name) => {
  const root = find(`.cp-side[data-side=${name}]`);
  const at = (each) => root.querySelector(`.cp-${each}`);
  return { root, card: at('card'), paper: at('paper'), title: at('title'), see: at('see') };
};
const voting = createVoting({
  places: {
    root: part('vote'), pair: find('.cp-pair'), sides: { left: side('left'), right: side('right') },
    choices: findAll('.cp-vote [data-choice]'), undo: find('.cp-undo'), coverLine: find('.cp-cover-line'),
    again: find('.cp-again'), receipt: find('.cp-receipt'), receiptLine: find('.cp-receipt-line'),
    thumbs: find('.cp-thumbs'),
  },
  source,
  consent,
  voted: (answer) => learnt.voted(answer),
  awake,
  told,
  failed,
  open: openPicture,
});

const taste = createTaste({
  places: {
    root: part('taste'), words: find('.cp-words'), wordsNone: find('.cp-words-none'), begun: find('.cp-begun'),
    field: find('.cp-word-field'), fieldList: find('#cp-word-list'), add: find('.cp-word-add'), top: find('.cp-top'),
    more: find('.cp-more-best'), worst: find('.cp-worst'), endsNone: find('.cp-ends-none'), save: find('.cp-save'), load: find('.cp-load'),
    loadFile: find('.cp-load-file'), blend: find('.cp-blend'), blendFile: find('.cp-blend-file'),
    blending: find('.cp-blending'), blendName: find('.cp-blend-name'), share: find('.cp-share'),
    shareLine: find('.cp-share-line'), blendGo: find('.cp-blend-go'), blendCancel: find('.cp-blend-cancel'),
    forget: find('.cp-forget'),
  },
  source,
  open: openPicture,
  changed: () => learnt.refresh(),
  stop: () => voting.stop(),
  restart() {
    voting.restart();
    learnt.refresh();
  },
  told,
  failed,
});

const two = createTwo({
  places: {
    slots: findAll('.cp-slot'), randomPair: find('.cp-random-pair'), swap: find('.cp-swap'), result: find('.cp-result'),
    verdict: find('.cp-verdict'), odds: find('.cp-odds'), oddsLeft: find('.cp-odds-left'),
    oddsRight: find('.cp-odds-right'), own: findAll('.cp-own [data-choice]'), ownLine: find('.cp-own-line'),
    why: find('.cp-why'),
  },
  source,
  choice,
  gallery: () => gallery,
  maxBytes: props.max_bytes,
  consent,
  voted() {
    learnt.refresh();
    // With the first vote there is a taste to judge by.
    if (!rankers.some(({ id, ready }) => id === 'taste' && ready)) lookAround().catch(failed);
  },
  open: openPicture,
  told,
  failed,
});

// --- sections ----------------------------------------------------------------------------------------

/** What a section shows is asked for when it opens: a vote elsewhere may have changed it. */
const opening = {
  vote: () => learnt.refresh(),
  taste: () => taste.refresh(),
  async two() {
    try {
      await lookAround();
    } catch (error) {
      failed(error, opening.two);
      return;
    }
    await two.begin();
  },
};
function openSection(name, { focus = false } = {}) {
  if (!SECTIONS.includes(name) || (name === 'report' && !props.report)) return;
  section = name;
  hideProblem();
  find(`.cp-sections [value=${name}]`).checked = true;
  for (const node of findAll('.cp-section')) node.hidden = node.dataset.section !== name;
  element.dataset.section = name;
  document.documentElement.dataset.compare = name;
  document.dispatchEvent(new CustomEvent('tagger:compare', { detail: { section: name } }));
  if (begun) opening[name]?.();
  if (focus) part(name)?.focus({ preventScroll: true });
}
find('.cp-sections').addEventListener('change', (event) => openSection(event.target.value, { focus: byHand }));
find('.cp-sections').addEventListener('click', (event) => {
  if (byHand && event.target.matches('input')) part(section)?.focus({ preventScroll: true });
});
find('.cp-to-taste').addEventListener('click', () => openSection('taste', { focus: true }));

/** {section, left, right}; a picture is {number, hash} of the gallery or {file}. */
document.addEventListener('tagger:compare-open', async ({ detail }) => {
  const { section: name, left, right } = detail;
  const pair = Object.entries({ left, right }).filter(([, given]) => given);
  try {
    const numbers = pair.flatMap(([, { number }]) => (number === undefined ? [] : [number]));
    const briefs = numbers.length ? await source.briefs(numbers) : [];
    const of = new Map(briefs.map((brief) => [brief.number, brief]));
    if (name === 'vote' && numbers.length === 2) {
      voting.put(of.get(left.number), of.get(right.number));
    } else {
      for (const [at, given] of pair) {
        if (given.file) two.give(at, given.file);
        else two.put(at, { brief: of.get(given.number), hash: given.hash });
      }
    }
    openSection(name === 'vote' && numbers.length < 2 && pair.length ? 'two' : name, { focus: true });
  } catch (error) {
    failed(error);
  }
});

// --- keys, drop, paste -------------------------------------------------------------------------------

document.addEventListener('keydown', (event) => {
  if (!shown() || section !== 'vote' || event.isComposing || event.defaultPrevented) return;
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const act = KEYS[event.key];
  if (!act) return;
  const at = event.target instanceof Element ? event.target : document.body;
  // Whoever writes, or is at a choice that takes the same keys, means that.
  if (at.closest('input:not([type=checkbox]), textarea, select, [contenteditable]')) return;
  const ours = element.contains(at);
  if (!ours && at !== document.body && at.id !== 'tab-compare-button') return;
  if (event.key === ' ' && ours && at.closest('button, a, label, input')) return;
  event.preventDefault();
  if (!ours && at !== document.body) part('vote').focus({ preventScroll: true });
  if (act === 'undo') voting.undo();
  else voting.choose(act);
});

// The whole window takes a drop: a picture let go beside a frame must not replace the page.
const carries = (event) => shown() && section === 'two' && event.dataTransfer &&
  ['Files', 'text/uri-list'].some((type) => event.dataTransfer.types.includes(type));
const over = (slot) => {
  for (const node of findAll('.cp-slot')) node.classList.toggle('cp-over', node === slot);
};
const slotOf = (event) => {
  const slot = event.target instanceof Element ? event.target.closest('.cp-slot') : null;
  return slot && element.contains(slot) ? slot : find(`.cp-slot[data-side=${two.place()}]`);
};
document.addEventListener('dragover', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = 'copy';
  over(slotOf(event));
});
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) over(null); });
document.addEventListener('drop', (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  over(null);
  giveAll([...event.dataTransfer.files], slotOf(event).dataset.side);
});
document.addEventListener('paste', (event) => {
  const files = [...event.clipboardData?.files ?? []];
  if (!shown() || section !== 'two' || !files.length) return;
  event.preventDefault();
  giveAll(files, two.place());
});
/** One file goes to its side, a second one to the other. */
function giveAll(files, first) {
  hideProblem();
  if (!files.length) {
    failed(new Refusal(say('not_a_file')));
    return;
  }
  const second = first === 'left' ? 'right' : 'left';
  two.give(first, files[0]);
  if (files[1]) two.give(second, files[1]);
}

// --- the beginning -----------------------------------------------------------------------------------

/** Look at all that is shown beside the pair. */
async function awake() {
  try {
    await lookAround();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // pairs say what is wrong
  }
  await opening[section]?.();
}
let begun = false;
/** Nothing is asked for before somebody looks: other tabs come first. */
function begin() {
  if (begun) return;
  begun = true;
  voting.begin();
  awake();
}
document.documentElement.dataset.compare = section;
element.dataset.section = section;
new IntersectionObserver((entries, observer) => {
  if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
  observer.disconnect();
  begin();
}).observe(element);
element.dataset.ready = 'true';
