// node serve.js [FOLDER] [PORT]: a static server on this machine only. Any other does as well.
import {createReadStream, existsSync, statSync} from 'node:fs';
import {createServer} from 'node:http';
import {dirname, extname, join, normalize, resolve, sep} from 'node:path';
import {fileURLToPath} from 'node:url';

const TYPES = {
  '.css': 'text/css', '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json',
  '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.txt': 'text/plain; charset=utf-8',
};

/** Serves folders over each other: the first that has a file gives it. */
export function serve(folders, port = 0) {
  const roots = folders.map((folder) => resolve(folder));
  const server = createServer((request, response) => {
    let path;
    try {
      path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    } catch {
      return response.writeHead(400).end();
    }
    if (path.endsWith('/')) path = join(path, 'index.html');
    const file = roots.map((root) => join(root, path)).find(
      (each, i) => each.startsWith(roots[i] + sep) && existsSync(each) && statSync(each).isFile(),
    );
    if (!file) return response.writeHead(404).end('not found');
    response.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      // Threads in WebAssembly need an isolated page.
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    });
    createReadStream(file).pipe(response);
  });
  return new Promise((done) => server.listen(port, '127.0.0.1', () => done(server)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const here = dirname(fileURLToPath(import.meta.url));
  const server = await serve([process.argv[2] ?? here, here], Number(process.argv[3] ?? 8000));
  console.log(`http://127.0.0.1:${server.address().port}/   (Ctrl-C ends it)`);
}
