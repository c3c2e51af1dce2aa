/* Files as they are given: chosen, dropped or pasted, one by one or as folders within folders. */
const PICTURE_SUFFIXES = new Set(['png', 'jpg', 'jpeg', 'jfif', 'webp', 'gif', 'bmp', 'tif', 'tiff', 'avif',
  'heic', 'heif', 'ico', 'jp2', 'ppm', 'pgm', 'pcx', 'tga', 'apng']);
const DEEPEST = 32; // folders within folders

const suffixOf = (name) => (/\.([^./]+)$/.exec(name)?.[1] ?? '').toLowerCase();
const isTable = (file) => ['csv', 'tsv'].includes(suffixOf(file.name)) || file.type === 'text/csv';
/** Whether a file may be a picture, by its kind or name; what it truly is, the server sees. */
function mayBePicture(file) {
  const suffix = suffixOf(file.name);
  return file.type.startsWith('image/') || PICTURE_SUFFIXES.has(suffix) || (!file.type && !suffix);
}
/** What systems leave in folders, of which nobody speaks. */
const isLitter = (path) => path.split('/').some((part) =>
  part.startsWith('.') || part === '__MACOSX' || /^(thumbs\.db|desktop\.ini)$/i.test(part));

/** {file, path} of each chosen file. */
const chosenFiles = (files) => [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/**
 * The files of what was dropped, folders opened, at most `most`: a promise of [{file, path}]. To be
 * called while the event lasts: later the browser has forgotten what it was.
 */
function droppedFiles(transfer, most) {
  const entries = [...transfer.items].filter((item) => item.kind === 'file').map((item) => ({
    entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile(),
  }));
  const found = [];
  const fileOf = (entry) => new Promise((resolve, reject) => { entry.file(resolve, reject); });
  const partOf = (reader) => new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
  const open = async (folder, depth) => {
    const reader = folder.createReader();
    // Browsers tell a hundred at a time.
    for (;;) {
      const part = await partOf(reader);
      if (!part.length) return;
      for (const entry of part) {
        if (found.length >= most) return;
        if (entry.isDirectory) {
          if (depth < DEEPEST && !isLitter(entry.name)) await open(entry, depth + 1);
        } else {
          const path = entry.fullPath.replace(/^\//, '');
          // What cannot be read is left to be said later, with its name.
          found.push({ path, file: await fileOf(entry).catch(() => null) });
        }
      }
    }
  };
  return (async () => {
    for (const { entry, file } of entries) {
      if (entry?.isDirectory) await open(entry, 0).catch(() => {});
      else if (file) found.push({ file, path: file.name });
    }
    return found.slice(0, most);
  })();
}
