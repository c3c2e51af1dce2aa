/* Colours of the map, what they mean, and which of them are shown.
 *
 * Every way of colouring sorts the points into groups, which are the entries of the legend. Chosen
 * entries filter the map; none chosen is no filter. Filters of several ways hold together.
 */
const HUES = {
  light: ['#2f6fb5', '#c4620a', '#2e8540', '#c2334d', '#7b52ab', '#118a8a', '#c2479b', '#8a5a2b',
    '#6f7a0c', '#56708a', '#94301c'],
  dark: ['#6ea8e5', '#f0964a', '#5dbb6f', '#ef6f85', '#a98be0', '#3fc4c0', '#ea85c6', '#c79a6b',
    '#bcbc4a', '#9bb4cc', '#e2765f'],
};
const REST = { light: '#a59d8f', dark: '#77716a' };
// Ends of scales: [low, high].
const SCALES = {
  tag: { light: ['#d9d3c6', '#17406f'], dark: ['#45464e', '#b9d5ff'] },
  trust: { light: ['#d1641b', '#1f5f9e'], dark: ['#f59b56', '#6fb0f2'] },
};
// Lowest value, in 0..255, of the groups of a scale, best first.
const TAG_STEPS = [GIVEN, 127, 25, 0]; // 50 %, 10 %
const FEW_PICTURES = 24;
const TAG_WORDS = ['tag_given', 'tag_likely', 'tag_maybe', 'tag_without'];
const TRUST_WORDS = ['trust_high', 'trust_middle', 'trust_low'];

function mix(from, to, share) {
  const part = (text, at) => parseInt(text.slice(at, at + 2), 16);
  return '#' + [1, 3, 5].map((at) => Math.round(part(from, at) + share * (part(to, at) - part(from, at)))
    .toString(16).padStart(2, '0')).join('');
}

/**
 * The groups of values of names: `entries` as the server tells them, most frequent first. Of a path
 * such as animals/birds the first part counts: few groups tell more than many.
 */
function groupNames(values, entries, most) {
  const heads = new Map();
  for (const { value, name, label, count } of entries) {
    const key = name.split('/')[0];
    const head = heads.get(key) ?? { label: label.split('/')[0], count: 0, values: [] };
    if (name === key) head.label = label;
    head.count += count;
    head.values.push(value);
    heads.set(key, head);
  }
  const ranked = [...heads.values()].sort((a, b) => b.count - a.count);
  // One entry alone in "others" may as well stand for itself.
  const own = ranked.length <= most + 1 ? ranked : ranked.slice(0, most);
  const table = new Uint8Array(256).fill(own.length);
  own.forEach((head, group) => { for (const value of head.values) table[value] = group; });
  const groups = values.map((value) => table[value]);
  const labels = own.map((head) => head.label || say('none'));
  if (groups.includes(own.length)) labels.push(say('others'));
  return { groups, labels, rest: own.length };
}

/** The groups of a scale: the first step that a value reaches. */
function groupSteps(values, steps, labels) {
  return {
    groups: values.map((value) => {
      const group = steps.findIndex((least) => value >= least);
      return group < 0 ? steps.length : group;
    }),
    labels,
  };
}

/**
 * `places` holds the elements; `changed({colours, visible})` is told what the map shows. `tagColumn(tag)`
 * returns a promise of a tag's column.
 */
function createLegend({ places, colours: most, trust, changed, tagColumn, tagLabel, failed }) {
  let points = null;
  let facts = null;
  let kind = 'category';
  let tag = null;
  let selection = null;
  let turn = 0;
  const columns = new Map(); // tag -> its bytes
  const made = new Map(); // way -> {groups, labels, rest}
  const filters = new Map(); // way -> Set of groups

  const way = () => kind === 'tag' ? `tag-${tag}` : kind;
  const values = () => kind === 'tag' ? columns.get(tag) : points[kind];
  // Nearly all points can be trusted: the colours tell apart what is between half and whole.
  const spread = (bytes) => kind === 'trust' ? bytes.map((value) => Math.max(0, 2 * value - 255)) : bytes;
  const theme = () => document.body.classList.contains('dark') ? 'dark' : 'light';
  const sorted = () => {
    if (!made.has(way())) {
      made.set(way(), kind === 'tag' ? groupSteps(values(), TAG_STEPS, TAG_WORDS.map((key) => say(key)))
        : kind === 'trust'
          ? groupSteps(values(), [255 * trust.high, 255 * trust.middle], TRUST_WORDS.map((key) => say(key)))
          : groupNames(values(), facts.legends[kind] ?? [], most));
    }
    return made.get(way());
  };
  const colourOf = (group, { labels, rest }) => {
    const look = theme();
    if (kind === 'tag') return mix(...SCALES.tag[look], [1, 0.75, 0.35, 0][group]);
    if (kind === 'trust') return mix(...SCALES.trust[look], [1, 0.75, 0.3][group]);
    return group === rest && labels.length > rest ? REST[look] : HUES[look][group % HUES[look].length];
  };
  const visible = () => {
    const active = [...filters].filter(([, chosen]) => chosen.size);
    if (!active.length) return null;
    const mask = new Uint8Array(points.count).fill(1);
    for (const [name, chosen] of active) {
      const { groups } = made.get(name);
      for (let n = 0; n < mask.length; n++) if (!chosen.has(groups[n])) mask[n] = 0;
    }
    return mask;
  };

  const tell = () => {
    const found = sorted();
    const scale = SCALES[kind]?.[theme()];
    const colours = scale
      ? { kind: 'scale', values: spread(values()), from: scale[0], to: scale[1] }
      : { kind: 'category', values: found.groups, palette: found.labels.map((_, i) => colourOf(i, found)) };
    const mask = visible();
    changed({ colours, visible: mask });
    showCount(mask);
  };
  const showCount = (mask) => {
    places.shown.textContent = mask
      ? say('shown_some', { shown: amount(countOf(mask)), count: amount(points.count) })
      : say('shown_all', { count: amount(points.count) });
    places.showAll.hidden = !mask;
  };
  const show = () => {
    const found = sorted();
    const chosen = filters.get(way()) ?? new Set();
    const totals = new Array(found.labels.length).fill(0);
    const here = new Array(found.labels.length).fill(0);
    for (let n = 0; n < points.count; n++) {
      totals[found.groups[n]]++;
      if (selection?.[n]) here[found.groups[n]]++;
    }
    const focused = [...places.list.children].findIndex((item) => item.contains(document.activeElement));
    places.list.replaceChildren(...found.labels.map((label, group) => {
      const item = make('li');
      const button = make('button', 'ex-entry');
      button.type = 'button';
      button.disabled = !totals[group];
      button.setAttribute('aria-pressed', String(chosen.has(group)));
      const dot = make('i');
      dot.style.background = colourOf(group, found);
      const count = (selection ? amount(here[group]) + '/' : '') + amount(totals[group]);
      button.append(dot, make('span', 'ex-entry-label', label), make('span', 'ex-entry-count', count));
      const told = { label, count: amount(totals[group]), here: amount(here[group]) };
      button.setAttribute('aria-label', say(selection ? 'legend_entry_set' : 'legend_entry', told));
      button.title = button.getAttribute('aria-label');
      button.addEventListener('click', () => {
        if (!chosen.delete(group)) chosen.add(group);
        // All of them is the same as none.
        if (chosen.size === totals.filter(Boolean).length) chosen.clear();
        filters.set(way(), chosen);
        show();
        tell();
      });
      item.append(button);
      return item;
    }));
    places.list.children[focused]?.firstChild.focus();
    places.list.dataset.kind = kind;
    places.list.dataset.tag = kind === 'tag' ? tag : '';
  };

  /** Colour in another way; a tag needs its column first. */
  const by = async (wanted, wantedTag = null) => {
    const mine = ++turn;
    places.select.value = wanted;
    places.tagBox.hidden = wanted !== 'tag';
    if (wanted === 'tag') {
      if (wantedTag === null) {
        if (tag === null) {
          places.tag.focus();
          return false;
        }
        wantedTag = tag;
      }
      if (!columns.has(wantedTag)) {
        let column = null;
        try {
          column = await tagColumn(wantedTag);
        } catch (error) {
          if (mine === turn) failed(error);
          return false;
        }
        if (mine !== turn) return false;
        columns.set(wantedTag, column);
      }
      tag = wantedTag;
      places.setTag(tagLabel(tag));
    }
    kind = wanted;
    // A filter by a tag ends with its colours: nothing on the page would tell of it.
    for (const name of filters.keys()) if (name.startsWith('tag-') && name !== way()) filters.delete(name);
    show();
    tell();
    return true;
  };

  places.select.addEventListener('change', () => by(places.select.value));
  places.showAll.addEventListener('click', () => {
    filters.clear();
    show();
    tell();
    places.select.focus();
  });
  return {
    by,
    /** Another map: the way of colouring stays where it can. */
    load(newFacts, newPoints) {
      facts = newFacts;
      points = newPoints;
      selection = null;
      columns.clear();
      made.clear();
      filters.clear();
      const varied = (name) => name === 'tag' ? facts.tags.length > 0
        : name === 'trust' || (facts.legends[name] ?? []).length > 1;
      for (const option of places.select.options) option.hidden = option.disabled = !varied(option.value);
      const first = [...places.select.options].find((option) => !option.disabled)?.value ?? 'trust';
      kind = kind !== 'tag' && varied(kind) ? kind : first === 'tag' ? 'trust' : first;
      tag = null;
      return by(kind);
    },
    select(mask) {
      selection = mask;
      if (points) show();
    },
    repaint() {
      if (!points) return;
      show();
      tell();
    },
    /** The pictures with a tag, surest first; where they are few, some that may have it, too. */
    withTag(wanted) {
      const column = columns.get(wanted);
      const found = [];
      for (let n = 0; n < column.length; n++) if (column[n] >= TAG_STEPS[2]) found.push(n);
      found.sort((a, b) => column[b] - column[a]);
      const sure = found.findIndex((n) => column[n] < TAG_STEPS[1]);
      return sure < 0 ? found : found.slice(0, Math.max(sure, FEW_PICTURES));
    },
  };
}
