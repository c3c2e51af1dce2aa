/* What the scripts of the tabs share. Gradio runs this text, with a tab's own after it, once as the
 * body of a function, with `element` (the root of the markup), `props` (data from Python) and
 * `server` (Python functions). Words from outside (file names, tags, labels, messages) enter the page
 * through textContent and attributes alone.
 */
const browser = navigator.language.toLowerCase().startsWith('ja') ? 'ja' : 'en';
const lang = props.language === 'auto' ? browser : props.language;
const words = props.words[lang];

const find = (selector) => element.querySelector(selector);
const findAll = (selector) => [...element.querySelectorAll(selector)];
const say = (key, values = {}) =>
  words[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
/** Write a text where another stands: the same again would make the browser lay out the page anew. */
const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};
const percent = (share) => {
  if (share < 0.01) return '<1%';
  return share > 0.99 && share < 1 ? '>99%' : Math.round(100 * share) + '%';
};
const bytes = (count) => count < 1e6
  ? say('kilobytes', { value: Math.max(1, Math.round(count / 1024)) })
  : say('megabytes', { value: (count / 1048576).toFixed(1).replace(/\.0$/, '') });
const translate = (values) => {
  element.lang = lang;
  for (const node of findAll('[data-word]')) node.textContent = say(node.dataset.word, values);
  for (const node of findAll('[data-label]')) {
    node.setAttribute('aria-label', say(node.dataset.label, values));
  }
  for (const node of findAll('[data-placeholder]')) node.placeholder = say(node.dataset.placeholder);
};
