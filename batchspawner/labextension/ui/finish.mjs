// Finish a build: say which package brings it, and of which sources it was made, for a test.
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';

const FOLDERS = ['schema', 'src', 'style'];
const FILES = ['install.json', 'package.json', 'tsconfig.json', 'yarn.lock'];
const OUTPUT = '../share/jupyter/labextensions/batchspawner';

const names = [...FILES, ...FOLDERS.flatMap(folder => readdirSync(folder).map(name => `${folder}/${name}`))];
const hash = createHash('sha256');
for (const name of names.sort()) {
  hash.update(`${name}\n`);
  hash.update(readFileSync(name));
}
copyFileSync('install.json', `${OUTPUT}/install.json`);
writeFileSync(`${OUTPUT}/sources.sha256`, `${hash.digest('hex')}\n`);
rmSync(`${OUTPUT}/schemas/batchspawner/package.json.orig`, { force: true });
