// The site of these pages: `npm ci --prefix docs && npm run build --prefix docs` writes it to .vitepress/dist. A link that leads nowhere
// fails the build.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitepress'

const REPOSITORY = 'https://github.com/yunqiao/yunqiao'

/** The pages, in the order in which they are read: file, title in English, title in Chinese. */
const GROUPS = [
  [
    ['Begin', '开始'],
    ['guide', 'The first minute', '一分钟上手'],
    ['testing', 'Testing a Mini Program', '测试小程序'],
    ['state', 'What dev keeps, fixtures', 'dev 保存什么，测试数据'],
    ['moving', 'Moving from the hosted cloud', '从云开发搬家'],
  ],
  [
    ['Reference', '参考'],
    ['yunqiao-toml', 'yunqiao.toml', 'yunqiao.toml'],
    ['cli', 'The command line', '命令行'],
    ['sim', '/sim/: the simulated WeChat', '/sim/：模拟的微信'],
    ['operator', '/operator/ and health', '/operator/ 与健康检查'],
  ],
  [
    ['What clients do', '客户端'],
    ['permissions', 'Permissions and rules', '权限与安全规则'],
    ['realtime', 'watch', '实时数据推送'],
    ['http', 'By plain HTTP', '直接用 HTTP'],
    ['web-clients', 'Web pages', '网页'],
  ],
  [
    ['Running it', '运维'],
    ['operations', 'The database', '数据库'],
    ['mongodb', 'Documents on MongoDB', '使用 MongoDB'],
    ['storage', 'Files', '云存储'],
    ['security', 'Security', '安全'],
    ['fidelity', 'Where it differs from WeChat', '与微信的不同'],
  ],
]

const sidebar = (prefix, language) =>
  GROUPS.map(([names, ...pages]) => ({
    text: names[language],
    items: pages.map(([file, ...titles]) => ({ text: titles[language], link: `${prefix}${file}` })),
  }))

const nav = (prefix, language) =>
  [
    ['guide', 'Guide', '上手'],
    ['yunqiao-toml', 'yunqiao.toml', 'yunqiao.toml'],
    ['cli', 'Commands', '命令行'],
  ].map(([file, ...titles]) => ({ text: titles[language], link: `${prefix}${file}` }))

/** Anchors as GitHub makes them, so that one link serves in both places. */
const slugify = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')

/** What lies in the repository and not in the site is shown there. */
function leadToTheRepository(markdown) {
  markdown.core.ruler.push('repository', (state) => {
    const folder = new URL(`file:///docs/${state.env.relativePath ?? ''}`)
    const links = state.tokens
      .flatMap(({ children }) => children ?? [])
      .filter(({ type }) => type === 'link_open')
    for (const link of links) {
      const { pathname, hash, protocol } = new URL(link.attrGet('href'), folder)
      if (protocol === 'file:' && !pathname.startsWith('/docs/')) {
        link.attrSet('href', `${REPOSITORY}/blob/main${pathname}${hash}`)
      }
    }
  })
}

/** `{{thing1.DATA}}` in code is a template's, and no expression of Vue's, which takes it for one outside of blocks. */
function showBraces(markdown) {
  markdown.core.ruler.push('braces', (state) => {
    const codes = state.tokens
      .flatMap(({ children }) => children ?? [])
      .filter(({ type }) => type === 'code_inline')
    for (const code of codes) {
      code.attrSet('v-pre', '')
    }
  })
}

/** Fails the build where VitePress only tells of an error and leaves the page's text out. */
function expectText({ pages, outDir }) {
  const empty = pages.filter((page) => {
    const html = readFileSync(join(outDir, page.replace(/\.md$/, '.html')), 'utf8')
    return !html.includes('<h1')
  })
  if (empty.length > 0) {
    throw new Error(`not rendered, for the errors above: ${empty.join(', ')}`)
  }
}

export default defineConfig({
  title: '云桥 Yunqiao',
  cleanUrls: true,
  srcExclude: ['console/**'],
  buildEnd: expectText,
  markdown: {
    anchor: { slugify },
    toc: { slugify },
    config: (markdown) => markdown.use(leadToTheRepository).use(showBraces),
  },
  themeConfig: {
    search: {
      provider: 'local',
      options: {
        locales: {
          zh: {
            translations: {
              button: { buttonText: '搜索', buttonAriaLabel: '搜索' },
              modal: {
                noResultsText: '没有找到',
                resetButtonTitle: '清除',
                footer: { selectText: '打开', navigateText: '上下选择', closeText: '关闭' },
              },
            },
          },
        },
      },
    },
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
  },
  locales: {
    root: {
      label: 'English',
      lang: 'en',
      description:
        'Your own WeChat cloud: runs Mini Program cloud functions on a laptop, in CI and in production',
      themeConfig: { nav: nav('/', 0), sidebar: sidebar('/', 0) },
    },
    zh: {
      label: '简体中文',
      lang: 'zh-CN',
      description: '你自己的微信云开发：在笔记本、CI 和生产环境里运行小程序云函数',
      themeConfig: {
        nav: nav('/zh/', 1),
        sidebar: sidebar('/zh/', 1),
        outline: { label: '本页' },
        docFooter: { prev: '上一页', next: '下一页' },
        darkModeSwitchLabel: '外观',
        sidebarMenuLabel: '目录',
        returnToTopLabel: '回到顶部',
        langMenuLabel: '语言',
      },
    },
  },
})
