/* What the Compare tab asks of the REST API below the page's own address, after visitor.js
 * and explore_data.js.
 *
 * Every component of the tab takes this text, so that all of them speak for the same visitor.
 */
const base = new URL((window.gradio_config?.root ?? new URL('.', document.baseURI).href) + '/');

/** Open the Explore tab with a wish: {number}, {tag, label} or {file}; see explore.js. */
function exploreWish(wish) {
  window.taggerWish = wish;
  document.dispatchEvent(new Event('tagger:wish'));
  const tab = document.querySelector('#tab-explore-button');
  tab?.click();
  tab?.scrollIntoView({ block: 'nearest' });
}

function download(blob, name) {
  const link = make('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `noAnswer` is said where no problem of the server's own can be read. */
function createCompareSource({ base, visitor, lang, noAnswer }) {
  /** `body` is a form, a file, or what becomes JSON. Throws a Refusal, or an AbortError. */
  const ask = async (path, { query = {}, method = 'GET', body, headers = {}, signal } = {}) => {
    const url = new URL(`api/v1/${path}`, base);
    for (const [name, value] of Object.entries({ ...query, lang })) url.searchParams.set(name, value);
    const options = { method, headers: { 'X-Visitor': visitor, ...headers }, signal };
    if (body instanceof FormData) {
      options.body = body;
    } else if (body !== undefined) {
      options.headers['Content-Type'] = 'application/json';
      options.body = body instanceof Blob ? body : JSON.stringify(body);
    }
    return answerOf(url, options, noAnswer);
  };
  const json = async (...request) => {
    const response = await ask(...request);
    try {
      return await response.json();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Refusal(noAnswer, '', true); // it broke off
    }
  };
  const named = (response, otherwise) =>
    /filename="?([^";]+)/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? otherwise;
  return {
    ask,
    rankers: () => json('rankers'),
    /** `pending` are pairs that the visitor has, as {left, right, kind} with briefs. */
    next: (count, pending = []) => json('votes/next', {
      query: {
        count,
        pending: pending.map((pair) => `${pair.left.number}-${pair.right.number}-${pair.kind}`).join(','),
      },
    }),
    vote: (body) => json('votes', { method: 'POST', body }),
    undo: (id) => ask(`votes/${id}`, { method: 'DELETE' }),
    votes: (offset, limit) => json('votes', { query: { offset, limit } }),
    forget: () => json('votes', { method: 'DELETE' }),
    taste: () => json('taste'),
    order: ({ ranker = 'taste', offset = 0, limit = 24, worst = false } = {}) =>
      json('taste/order', { query: { ranker, offset, limit, worst } }),
    words: (tag, weight) => json('taste/words', { method: 'PUT', body: { tag, weight } }),
    async profile() {
      const response = await ask('taste/profile');
      return { blob: await response.blob(), name: named(response, 'taste.json') };
    },
    load: (file) => json('taste/profile', { method: 'PUT', body: file }),
    blend: (profile, share) => json('taste/blend', { method: 'POST', body: { profile, share } }),
    compare: (form, signal) => json('compare', { method: 'POST', body: form, signal }),
    rank: (form, signal) => json('rank', { method: 'POST', body: form, signal }),
    evaluate: (pictures) => json('rank/evaluate', { method: 'POST', body: { pictures } }),
    report: (token) => json('votes/report', { headers: { Authorization: `Bearer ${token}` } }),
    search: (q) => json('map/search', { query: { map: 'gallery', q } }),
    async briefs(numbers) {
      const query = { map: 'gallery', numbers: numbers.join(',') };
      return (await json('map/pictures', { query })).pictures;
    },
    /** The numbers of the pictures with a tag, surest first. */
    async withTag(tag, hash, most) {
      const response = await ask(`map/columns/tag-${tag}`, { query: { map: 'gallery', hash } });
      const column = new Uint8Array(await response.arrayBuffer());
      return [...column.keys()].sort((a, b) => column[b] - column[a]).slice(0, most);
    },
    tags: async () => (await json('map', { query: { map: 'gallery' } })).tags ?? [],
    image(number, hash) {
      const url = new URL(`api/v1/map/pictures/${number}/image`, base);
      for (const [name, value] of Object.entries({ map: 'gallery', hash })) url.searchParams.set(name, value);
      return url.href;
    },
  };
}
