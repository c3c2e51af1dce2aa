/* Who somebody is to the server, for all tabs: a number of chance that the browser keeps.
 *
 * No name, and the key to what was given under it.
 */
const VISITOR = 'tagger-visitor';
const visitor = (() => {
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
    (byte) => byte.toString(16).padStart(2, '0')).join('');
  try {
    const known = localStorage.getItem(VISITOR);
    if (/^[0-9a-f]{32}$/.test(known)) return known;
    const made = fresh();
    localStorage.setItem(VISITOR, made);
    return made;
  } catch {
    return fresh(); // a browser that keeps nothing: the number lives as long as the page
  }
})();
