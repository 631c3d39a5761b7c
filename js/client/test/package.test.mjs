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
  const env = { ...process.env, CLIENT_TOOLS: copy, NODE_TEST_CONTEXT: '' }
  return promisify(execFile)(command, args, { cwd, env, maxBuffer: 1 << 24 }).catch(
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

test('index.js and lite.js are what `npm run build` makes of src/', async () => {
  const read = () => Promise.all(['index.js', 'lite.js'].map((name) => readFile(join(copy, name), 'utf8')))
  const committed = await read()
  await run('npm', ['run', 'build'])
  assert.deepEqual(await read(), committed, 'run `npm run build` in js/client and commit what it makes')
})

test('it is under 16 KB, minified and gzipped, and without the database under 7 KB', async () => {
  for (const [entry, format, most] of [
    ['index.js', 'cjs', 16_000],
    ['src/index.mjs', 'esm', 16_000],
    ['lite.js', 'cjs', 7 * 1024],
    ['src/lite.mjs', 'esm', 7 * 1024],
  ]) {
    const { stdout } = await run(tool('esbuild'), [
      entry,
      '--bundle',
      '--minify',
      '--target=es2017',
      `--format=${format}`,
    ])
    const size = gzipSync(stdout, { level: 9 }).length
    assert.equal(size > 1000 && size < most, true, `${entry}: ${size} bytes`)
  }
})

test('it runs on engines of ES2017: nothing newer is in it, and no dependency', async () => {
  for (const name of ['index.js', 'lite.js']) {
    const { stdout } = await run(tool('esbuild'), [name, '--minify-whitespace', '--target=esnext'])
    const { stdout: older } = await run(tool('esbuild'), [name, '--minify-whitespace', '--target=es2017'])
    assert.equal(older, stdout)
    assert.doesNotMatch(stdout, /\brequire\(/)
  }
  assert.equal(manifest.dependencies, undefined)
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
  assert.deepEqual(names.sort(), [
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'cloud.wxs',
    'index.d.mts',
    'index.d.ts',
    'index.js',
    'lite.d.mts',
    'lite.d.ts',
    'lite.js',
    'package.json',
  ])
})

test('the serializer is that of the SDK in functions', async () => {
  await run(process.execPath, ['--test', join(root, 'test/serializer.test.mjs')], copy)
})

test('the helper of markup gives the address that `cloudUrl` gives', async () => {
  const { cloudUrl } = await import('../src/files.mjs')
  const module = { exports: {} }
  new Function('module', await readFile(join(root, 'cloud.wxs'), 'utf8'))(module)
  for (const id of ['cloud://env.bucket/a b/图?.png', 'https://h/a.png', '', undefined]) {
    assert.equal(module.exports.url('https://h', id), cloudUrl('https://h', id))
  }
})
