// What is shipped: the committed CommonJS file is what the sources make, small, and what the types say.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
/** A copy of the package in which the tools are; they stay there for the next time where CLIENT_TOOLS names a folder. */
let copy

async function run(command, args, cwd = copy) {
  return promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 24 }).catch(
    ({ message, stdout, stderr }) => {
      assert.fail(`${message}\n${stdout}${stderr}`)
    },
  )
}

const tool = (name) => join(copy, 'node_modules/.bin', name)

before(async () => {
  copy = process.env.CLIENT_TOOLS || (await mkdtemp(join(tmpdir(), 'yunqiao-client-')))
  await mkdir(copy, { recursive: true })
  for (const name of [...manifest.files, 'test/types.ts']) {
    await rm(join(copy, name), { recursive: true, force: true })
    await cp(join(root, name), join(copy, name), { recursive: true })
  }
  await writeFile(join(copy, 'package.json'), JSON.stringify(manifest))
  await run('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--prefer-offline'])
})

test('index.js is what `npm run build` makes of src/', async () => {
  const committed = await readFile(join(copy, 'index.js'), 'utf8')
  await run('npm', ['run', 'build'])
  assert.equal(
    await readFile(join(copy, 'index.js'), 'utf8'),
    committed,
    'run `npm run build` in js/client and commit index.js',
  )
})

test('it is under 6 KB, minified and gzipped', async () => {
  for (const [entry, format] of [
    ['index.js', 'cjs'],
    ['src/index.mjs', 'esm'],
  ]) {
    const { stdout } = await run(tool('esbuild'), [
      entry,
      '--bundle',
      '--minify',
      '--target=es2017',
      `--format=${format}`,
    ])
    const size = gzipSync(stdout, { level: 9 }).length
    assert.equal(size > 1000 && size < 6000, true, `${entry}: ${size} bytes`)
  }
})

test('it runs on engines of ES2017: nothing newer is in it, and no dependency', async () => {
  const { stdout } = await run(tool('esbuild'), ['index.js', '--minify-whitespace', '--target=esnext'])
  const { stdout: older } = await run(tool('esbuild'), ['index.js', '--minify-whitespace', '--target=es2017'])
  assert.equal(older, stdout)
  assert.equal(manifest.dependencies, undefined)
  assert.doesNotMatch(stdout, /\brequire\(/)
})

test('the types agree with miniprogram-api-typings', async () => {
  await mkdir(join(copy, 'node_modules/@yunqiao'), { recursive: true })
  await rm(join(copy, 'node_modules/@yunqiao/client'), { recursive: true, force: true })
  await symlink('../..', join(copy, 'node_modules/@yunqiao/client'))
  for (const [module, resolution] of [
    ['commonjs', 'node10'],
    ['node16', 'node16'],
    ['esnext', 'bundler'],
  ]) {
    await run(tool('tsc'), [
      '--noEmit',
      '--strict',
      '--target',
      'es2020',
      '--lib',
      'es2020',
      '--module',
      module,
      '--moduleResolution',
      resolution,
      '--types',
      'miniprogram-api-typings',
      'test/types.ts',
    ])
  }
})

test('the types of the ES module stand without those typings', async () => {
  await writeFile(
    join(copy, 'test/alone.mts'),
    `
    import { callFunction, CloudID, init, install } from '@yunqiao/client'
    init({ endpoint: 'https://cloud.example.com', login: async () => 'code' })
    export const answer: Promise<string> = callFunction({ name: 'f', data: { id: CloudID('x') } }).then(({ requestID }) => requestID)
    export const names = [install.name]`,
  )
  await run(tool('tsc'), [
    '--noEmit',
    '--strict',
    '--target',
    'es2020',
    '--lib',
    'es2020',
    '--module',
    'node16',
    'test/alone.mts',
  ])
})

test('what is packed is what an app needs, as it is', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], root)
  const [{ files }] = JSON.parse(stdout)
  const names = files.map(({ path }) => path).filter((path) => !path.startsWith('src/'))
  assert.deepEqual(names.sort(), ['README.md', 'index.d.mts', 'index.d.ts', 'index.js', 'package.json'])
})
