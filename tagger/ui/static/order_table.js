/* Tables of pictures: ratings that somebody has in a file, whoever wrote it, and the order as a file.
 *
 * A table of ratings is read as it comes: commas, semicolons or tabs, quotes, a mark of its encoding or
 * none, a header or none, decimal commas.
 */
const MOST_TABLE_BYTES = 20_000_000;
const TABLE_COMMAS = [',', ';', '\t'];
const NAME_COLUMNS = ['file', 'filename', 'file_name', 'name', 'path', 'picture', 'image', 'img',
  'ファイル', 'ファイル名', '画像', '名前'];
const RATING_COLUMNS = ['rating', 'stars', 'score', 'value', 'points', 'relevance', '評価', '点数', '点'];
// What a spreadsheet would run.
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** Text of a file's bytes. What is no UTF is what spreadsheets of the reader's language write. */
function decodeText(buffer, lang) {
  const bytes = new Uint8Array(buffer);
  const mark = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le'
    : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(mark, { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder(lang === 'ja' ? 'shift_jis' : 'windows-1252').decode(bytes);
  }
}

/** Rows of cells, each with the `line` it begins at; rows without anything are left out. */
function parseTable(text) {
  text = text.replace(/^\ufeff/, '');
  const told = /^sep=(.)\r?\n/i.exec(text); // as some spreadsheets begin a file
  const lines = told ? 1 : 0;
  if (told) text = text.slice(told[0].length);
  const unquoted = text.slice(0, 100_000).replace(/"[^"]*("|$)/g, '').split(/[\r\n]+/).find((line) => line.trim()) ?? '';
  const count = (comma) => unquoted.split(comma).length;
  const comma = told?.[1] ?? TABLE_COMMAS.reduce((best, one) => count(one) > count(best) ? one : best);
  const rows = [];
  let row = [];
  let line = 1 + lines;
  row.line = line;
  let at = 0;
  const close = () => {
    if (row.some((cell) => cell.trim())) rows.push(row);
    row = [];
    row.line = line;
  };
  while (at < text.length) {
    let cell = '';
    const quote = /[ ]*"/y;
    quote.lastIndex = at;
    if (quote.test(text)) {
      at = quote.lastIndex;
      for (;;) {
        const next = text.indexOf('"', at);
        const part = text.slice(at, next < 0 ? text.length : next);
        line += part.split(/\r\n?|\n/).length - 1;
        cell += part;
        at = next < 0 ? text.length : next + 1;
        if (next < 0 || text[at] !== '"') break;
        cell += '"';
        at++;
      }
    }
    const rest = at;
    while (at < text.length && text[at] !== comma && text[at] !== '\n' && text[at] !== '\r') at++;
    row.push(cell + text.slice(rest, at));
    if (at < text.length && text[at] === comma) {
      at++;
      if (at === text.length) row.push('');
      continue;
    }
    if (text[at] === '\r' && text[at + 1] === '\n') at++;
    at++;
    line++;
    close();
  }
  close();
  return rows;
}

/** The number of a cell, with a decimal comma or point; null if it is none. */
function numberIn(cell) {
  const text = (cell ?? '').trim().replace(/^'/, '').replace('−', '-');
  if (!/^[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d{1,3})?$/i.test(text)) return null;
  const value = Number(text.replace(',', '.'));
  return Math.abs(value) <= 1e9 ? value : null;
}

/**
 * Ratings of a table, as {ratings: [{name, rating}], bad: [line numbers]}; of several of a name the mean
 * counts. Null if no column holds numbers.
 */
function parseRatings(text) {
  const rows = parseTable(text);
  if (!rows.length) return null;
  const head = rows[0].map((cell) => cell.trim().toLowerCase());
  const isHead = head.length > 1 && head.every((_, n) => numberIn(rows[0][n]) === null);
  const known = (names) => names.map((name) => head.indexOf(name)).find((n) => n >= 0) ?? -1;
  const body = isHead ? rows.slice(1) : rows;
  const numeric = (n) => body.filter((row) => numberIn(row[n]) !== null).length;
  const columns = Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, n) => n);
  let names = isHead ? known(NAME_COLUMNS) : -1;
  let values = isHead ? known(RATING_COLUMNS) : -1;
  if (values < 0) {
    const others = columns.filter((n) => n !== names && numeric(n));
    // A column of names may be one of numbers, too: then ratings stand after it.
    values = others.findLast((n) => numeric(n) === Math.max(...others.map(numeric))) ?? -1;
  }
  if (names < 0) names = columns.find((n) => n !== values) ?? -1;
  if (names < 0 || values < 0) return null;
  const sums = new Map();
  const bad = [];
  for (const row of body) {
    const name = (row[names] ?? '').trim();
    const rating = numberIn(row[values]);
    if (!name || rating === null) {
      // No rating is an answer, too.
      if (!name || (row[values] ?? '').trim()) bad.push(row.line);
      continue;
    }
    const [sum, count] = sums.get(name) ?? [0, 0];
    sums.set(name, [sum + rating, count + 1]);
  }
  return { ratings: Array.from(sums, ([name, [sum, count]]) => ({ name, rating: sum / count })), bad };
}

/**
 * Which rating belongs to which of the `paths`: {found: Map of the path's index -> rating, lost: names}.
 * A name fits the whole path, its end, or the file's name with or without its suffix; one that fits
 * several pictures fits none.
 */
function matchRatings(ratings, paths) {
  const key = (path) => path.normalize('NFC').replaceAll('\\', '/').replace(/^(\.?\/)+/, '').toLowerCase();
  const last = (path) => path.split('/').at(-1);
  const stem = (path) => path.replace(/\.[^./]*$/, '');
  const full = paths.map(key);
  const index = (of) => {
    const found = new Map();
    full.forEach((path, n) => found.set(of(path), [...(found.get(of(path)) ?? []), n]));
    return found;
  };
  const [whole, lasts, stems] = [index((path) => path), index(last), index((path) => stem(last(path)))];
  const found = new Map();
  const lost = [];
  for (const { name, rating } of ratings) {
    // The export of an order guards names that look like a formula.
    const wanted = key(/^'/.test(name) && FORMULA.test(name.slice(1)) ? name.slice(1) : name);
    let fits = whole.get(wanted) ?? [];
    if (!fits.length) {
      fits = lasts.get(last(wanted)) ?? [];
      const ends = fits.filter((n) => full[n].endsWith(`/${wanted}`) || wanted.endsWith(`/${full[n]}`));
      if (ends.length) fits = ends;
      else if (wanted.includes('/') && fits.length > 1) fits = [];
    }
    if (!fits.length) fits = stems.get(last(wanted)) ?? [];
    if (fits.length === 1) found.set(fits[0], rating);
    else lost.push(name);
  }
  return { found, lost };
}

/** Rows as the text of a CSV file whose cells are never run; numbers stay numbers. */
function tableText(rows) {
  const cell = (value) => {
    if (typeof value === 'number') return String(value);
    const text = FORMULA.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(',') + '\r\n').join('');
}
