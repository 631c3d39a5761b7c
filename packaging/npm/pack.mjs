// Packs what `packaging/npm/build` made.
//
//   node pack.mjs OUT                              the launcher
//   node pack.mjs OUT PLATFORM TARGET BINARY       the binary for a platform, with the licences of everything that is linked into it

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const LICENSES = ['LICENSE-APACHE', 'LICENSE-MIT']
const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']

function cargoMetadata(...more) {
  const args = ['metadata', '--format-version', '1', '--locked', ...more]
  const text = execFileSync(process.env.CARGO || 'cargo', args, { cwd: root, maxBuffer: 1 << 28 })
  return JSON.parse(text)
}

/** What both kinds of packages say of themselves. */
function manifest({ version, repository }) {
  return {
    version,
    license: 'Apache-2.0 OR MIT',
    repository: { type: 'git', url: `git+${repository}.git` },
    homepage: repository,
    publishConfig: { access: 'public' },
  }
}

/** The packages of others that are linked into the binary: what it depends on for this target, but for building and for tests. */
function linked({ packages, resolve: { nodes } }, cli) {
  const byId = new Map(packages.map((found) => [found.id, found]))
  const edges = new Map(nodes.map(({ id, deps }) => [id, deps]))
  const reached = new Set([cli.id])
  for (const id of reached) {
    for (const { pkg, dep_kinds } of edges.get(id)) {
      if (dep_kinds.some(({ kind }) => kind === null)) reached.add(pkg)
    }
  }
  return [...reached].map((id) => byId.get(id)).filter(({ source }) => source)
}

/** The texts that the licences of others want to be passed on, each once, with who it is of. */
function thirdParty(packages) {
  const users = new Map()
  for (const { name, version, license, authors, manifest_path } of packages) {
    const folder = dirname(manifest_path)
    const files = readdirSync(folder, { withFileTypes: true })
      .filter((file) => file.isFile() && /^(licen[cs]e|copying|notice|unlicense)/i.test(file.name))
      .map((file) => readFileSync(join(folder, file.name), 'utf8').trim())
    // Some packages name their licence in their manifest alone.
    const texts = files.length > 0 ? files : [`${license}\n${authors.join('\n')}`.trim()]
    for (const text of texts) {
      // The same words, wrapped differently.
      const words = text.replace(/\s+/g, ' ')
      const found = users.get(words) ?? { text, of: new Set() }
      found.of.add(`${name} ${version} (${license})`)
      users.set(words, found)
    }
  }
  const sections = [...users.values()].map(({ text, of }) => `${[...of].sort().join('\n')}\n\n${text}\n`)
  const line = '-'.repeat(80)
  return ['The binary contains these packages.\n', ...sections.sort()].join(`\n${line}\n\n`)
}

function pack(out, fill) {
  const folder = mkdtempSync(join(tmpdir(), 'yunqiao-npm-'))
  try {
    for (const name of LICENSES) copyFileSync(join(root, name), join(folder, name))
    const written = fill(folder)
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(written, null, 2)}\n`)
    const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', resolve(out)]
    execFileSync('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function platform(out, name, target, binary) {
  const metadata = cargoMetadata('--filter-platform', target)
  const cli = metadata.packages.find((found) => found.name === 'yunqiao-cli')
  pack(out, (folder) => {
    mkdirSync(join(folder, 'bin'))
    copyFileSync(binary, join(folder, 'bin/yunqiao'))
    chmodSync(join(folder, 'bin/yunqiao'), 0o755)
    writeFileSync(join(folder, 'THIRD-PARTY'), thirdParty(linked(metadata, cli)))
    const [os, cpu] = name.split('-')
    writeFileSync(
      join(folder, 'README.md'),
      `# @yunqiao/${name}\n\nThe binary of [yunqiao](https://www.npmjs.com/package/yunqiao) for ${os} on ${cpu}.\n`,
    )
    return {
      name: `@yunqiao/${name}`,
      description: `The binary of yunqiao for ${os} on ${cpu}`,
      ...manifest(cli),
      os: [os],
      cpu: [cpu],
      ...(os === 'linux' ? { libc: ['glibc'] } : {}),
      preferUnplugged: true,
      files: ['bin/yunqiao', 'THIRD-PARTY', ...LICENSES],
    }
  })
}

function launcher(out) {
  const { packages } = cargoMetadata('--no-deps')
  const cli = packages.find((found) => found.name === 'yunqiao-cli')
  pack(out, (folder) => {
    cpSync(join(here, 'yunqiao'), folder, { recursive: true })
    chmodSync(join(folder, 'bin.js'), 0o755)
    return {
      name: 'yunqiao',
      description:
        'Your own WeChat cloud: runs Mini Program cloud functions on a laptop, in CI and in production',
      ...manifest(cli),
      keywords: [
        'wechat',
        'miniprogram',
        'cloud',
        'cloudfunctions',
        'wx-server-sdk',
        '微信',
        '小程序',
        '云开发',
        '云函数',
      ],
      bin: { yunqiao: 'bin.js' },
      engines: { node: '>=18' },
      files: ['bin.js', ...LICENSES],
      optionalDependencies: Object.fromEntries(PLATFORMS.map((name) => [`@yunqiao/${name}`, cli.version])),
    }
  })
}

const [out, name, target, binary] = process.argv.slice(2)
if (name) platform(out, name, target, binary)
else launcher(out)
