/* What this visitor changes in the tags of a gallery: kept in their browser, with a way back.
 *
 * A change is {kind: "add" | "remove", tag, mask, count}; those up to `done` hold. They are kept by
 * the hash of the map, since numbers of pictures are good for it alone.
 */
const CHANGES = 'tagger-explore-changes:';

function createEdits(hash, count, changed) {
  let steps = [];
  let done = 0;
  let kept = true;
  try {
    const found = JSON.parse(localStorage.getItem(CHANGES + hash) ?? 'null');
    const whole = (step) => ['add', 'remove'].includes(step?.kind) && typeof step.tag === 'string' &&
      typeof step.mask === 'string' && Number.isInteger(step.count);
    if (Array.isArray(found?.steps) && found.steps.every(whole)) {
      steps = found.steps;
      done = Math.max(0, Math.min(steps.length, Number(found.done) || 0));
    }
  } catch { /* nothing, or nothing that can be read */ }

  // What holds: tag -> number -> 1 for added, -1 for removed.
  let state = null;
  const current = () => {
    if (state) return state;
    state = new Map();
    for (const step of steps.slice(0, done)) {
      if (!state.has(step.tag)) state.set(step.tag, new Map());
      const of = state.get(step.tag);
      for (const n of numbersOf(unpackMask(step.mask, count))) of.set(n, step.kind === 'add' ? 1 : -1);
    }
    return state;
  };
  const keep = () => {
    state = null;
    try {
      if (steps.length) localStorage.setItem(CHANGES + hash, JSON.stringify({ steps, done }));
      else localStorage.removeItem(CHANGES + hash);
      kept = true;
    } catch {
      kept = false;
    }
    changed();
  };
  const move = (by) => {
    const step = steps[by < 0 ? done - 1 : done];
    if (!step) return null;
    done += by;
    keep();
    return step;
  };
  return {
    /** Whether the browser keeps them. */
    get kept() { return kept; },
    get steps() { return steps.slice(0, done); },
    get canUndo() { return done > 0; },
    get canRedo() { return done < steps.length; },
    apply(kind, tag, mask) {
      const step = { kind, tag, mask: packMask(mask), count: countOf(mask) };
      steps = [...steps.slice(0, done), step];
      done = steps.length;
      keep();
      return step;
    },
    undo: () => move(-1),
    redo: () => move(1),
    /** What was done to one picture: {added: [tag...], removed: [tag...]}. */
    of(number) {
      const made = { added: [], removed: [] };
      for (const [tag, numbers] of current()) {
        const sign = numbers.get(number);
        if (sign) made[sign > 0 ? 'added' : 'removed'].push(tag);
      }
      return made;
    },
    /** From how many pictures of a mask a tag was removed. */
    removedFrom(tag, mask) {
      let sum = 0;
      for (const [n, sign] of current().get(tag) ?? []) if (sign < 0 && mask[n]) sum++;
      return sum;
    },
    /** For an export: {add: {tag: [n...]}, remove: {...}} of the pictures of a mask. */
    within(mask) {
      const made = { add: {}, remove: {} };
      for (const [tag, numbers] of current()) {
        for (const [n, sign] of numbers) {
          if (mask[n]) (made[sign > 0 ? 'add' : 'remove'][tag] ??= []).push(n);
        }
      }
      return made;
    },
    /** All pictures that were changed, as a mask. */
    touched() {
      const mask = new Uint8Array(count);
      for (const numbers of current().values()) for (const n of numbers.keys()) mask[n] = 1;
      return mask;
    },
    /** Words of the visitor's own. */
    get tags() { return [...new Set(steps.filter(({ kind }) => kind === 'add').map(({ tag }) => tag))]; },
  };
}
