/* The choice of what judges: the shipped ranker, the visitor's taste, or a file of theirs. */

/**
 * `select` and `fileInput` are elements; `changed()` follows every choice that holds. A file that was
 * chosen stays in the list under its name.
 */
function createRankerChoice(select, fileInput, { source, changed }) {
  const FILE = 'file:choose';
  let known = [];
  let file = null;
  let chosen = '';
  let before = ''; // what was chosen before a file was
  const option = (value, label, { title = '', off = false } = {}) => {
    const node = make('option', '', label);
    node.value = value;
    node.title = title;
    node.disabled = off;
    return node;
  };
  const show = () => {
    const nodes = known.map(({ id, label, about, ready }) => option(id,
      ready ? label : say('ranker_not_ready', { label }), { title: about ?? '', off: !ready }));
    if (file) nodes.push(option('file:kept', say('ranker_named', { name: file.name })));
    nodes.push(option(FILE, say('ranker_file')));
    select.replaceChildren(...nodes);
    const usable = nodes.find((node) => node.value === chosen && !node.disabled)
      ?? nodes.find((node) => !node.disabled && node.value !== FILE);
    chosen = usable?.value ?? '';
    // Without a single one that is ready nothing is chosen, and not the wish for a file.
    if (usable) select.value = chosen;
    else select.selectedIndex = -1;
  };
  select.addEventListener('change', () => {
    if (select.value === FILE) {
      select.value = chosen; // until a file is here
      if (!chosen) select.selectedIndex = -1;
      fileInput.click();
      return;
    }
    chosen = select.value;
    changed();
  });
  fileInput.addEventListener('change', () => {
    const [given] = fileInput.files;
    fileInput.value = ''; // so that the same file can be chosen again
    if (!given) return;
    file = given;
    if (chosen !== 'file:kept') before = chosen;
    chosen = 'file:kept';
    show();
    changed();
  });
  const choice = {
    /** Whether there is one to judge by. */
    get ready() { return chosen !== ''; },
    get value() {
      return chosen === 'file:kept' ? { ranker: '', profile: file } : { ranker: chosen, profile: null };
    },
    /** What the chosen one is called. */
    get label() {
      return chosen === 'file:kept' ? file.name : known.find(({ id }) => id === chosen)?.label ?? '';
    },
    /** Ask the server what there is; returns its answer. */
    async refresh() {
      const answer = await source.rankers();
      known = answer.rankers;
      show();
      return answer;
    },
    /** Forget a file that the server could not use. */
    drop() {
      file = null;
      chosen = before;
      show();
    },
    /** Put the choice into a form. */
    fill(form) {
      const { ranker, profile } = choice.value;
      if (ranker) form.set('ranker', ranker);
      if (profile) form.set('profile', profile, profile.name);
    },
  };
  return choice;
}
