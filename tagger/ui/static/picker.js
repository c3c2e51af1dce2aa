/* A field for a word, with the words that are known below it (the ARIA combobox with a list). */

/**
 * `ask(query)` returns a promise of [{word, label, learnt}]; `changed()` follows every change of the
 * text, `entered()` the Enter key without a list's entry being marked, `chosen(entry)` the choice of
 * one. With `free` false words of the visitor's own are not offered.
 */
function createPicker(field, list, { ask, changed, entered, chosen = () => {}, free = true }) {
  let entries = [];
  let marked = -1;
  let number = 0;

  const close = () => {
    number++;
    list.hidden = true;
    marked = -1;
    field.setAttribute('aria-expanded', 'false');
    field.removeAttribute('aria-activedescendant');
  };
  const mark = (index) => {
    marked = index;
    [...list.children].forEach((node, i) => {
      node.setAttribute('aria-selected', String(i === index));
      if (i === index) node.scrollIntoView({ block: 'nearest' });
    });
    if (index < 0) field.removeAttribute('aria-activedescendant');
    else field.setAttribute('aria-activedescendant', list.children[index].id);
  };
  const choose = (entry) => {
    field.value = entry.label;
    close();
    changed();
    chosen(entry);
  };
  const same = (a, b) => a.normalize('NFKC').toLowerCase() === b.normalize('NFKC').toLowerCase();
  const open = (found) => {
    const text = field.value.trim();
    entries = found.map((entry) => ({ ...entry, fresh: false }));
    if (free && !found.some((entry) => same(entry.label, text) || same(entry.word, text))) {
      entries.push({ label: text, fresh: true });
    }
    list.replaceChildren(...entries.map((entry, i) => {
      const node = make('li', 'dr-option', entry.fresh ? say('new_word', entry) : entry.label);
      node.id = `${list.id}-${i}`;
      node.setAttribute('role', 'option');
      node.classList.toggle('dr-fresh', entry.fresh);
      if (entry.learnt) node.append(make('span', 'dr-yours', say('yours')));
      // The field keeps the focus.
      node.addEventListener('pointerdown', (event) => event.preventDefault());
      node.addEventListener('click', () => choose(entry));
      return node;
    }));
    list.hidden = !entries.length;
    field.setAttribute('aria-expanded', String(!list.hidden));
    mark(-1);
  };

  field.addEventListener('input', async () => {
    changed();
    const query = field.value.trim();
    if (!query) {
      close();
      return;
    }
    const mine = ++number;
    const found = await ask(query);
    if (mine === number && found && document.activeElement === field) open(found);
  });
  field.addEventListener('keydown', (event) => {
    if (event.isComposing) return; // the Enter that ends the writing of Japanese is no wish of ours
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (!list.hidden && event.key in steps) {
      event.preventDefault();
      const count = entries.length + 1; // one more place: the field itself
      mark((marked + 1 + steps[event.key] + count) % count - 1);
    } else if (event.key === 'Escape' && !list.hidden) {
      event.stopPropagation();
      close();
    } else if (event.key === 'Enter') {
      event.preventDefault();
      if (marked >= 0) choose(entries[marked]);
      else {
        close();
        entered();
      }
    }
  });
  field.addEventListener('blur', close);
  return {
    get text() { return field.value.trim(); },
    set text(value) {
      field.value = value;
      close();
      changed();
    },
  };
}
