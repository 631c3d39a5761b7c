// What only SDKs for any server have.
const { remove, afterRemove, removeNothing } = operations
for (const name of ['remove', 'afterRemove', 'removeNothing']) delete operations[name]

const authority = (...fileList) => named(app.getFileAuthority({ fileList }))
Object.assign(operations, {
  authorityOfFunctions: () =>
    authority({ type: 'READWRITE', path: ids['plain.txt'] }, { type: 'READ', path: 'folder/streamed.txt' }),
  authorityOfNew: () => authority({ type: 'WRITE', path: 'new.txt' }),
  authorityOfNothing: () => authority(),
  authorityOfOther: () => authority({ type: 'OTHER', path: 'new.txt' }),
})
if (typeof app.copyFile === 'function') {
  const copy = (...fileList) => named(app.copyFile({ fileList }))
  Object.assign(operations, {
    copy: () => copy({ srcPath: 'plain.txt', dstPath: 'copied/plain.txt' }),
    copied: () => read(ids['plain.txt'].replace('plain.txt', 'copied/plain.txt')),
    copyOver: () => copy({ srcPath: 'plain.txt', dstPath: 'copied/plain.txt', overwrite: false }),
    copyMissing: () => copy({ srcPath: 'missing.txt', dstPath: 'copied/missing.txt' }),
    move: () => copy({ srcPath: 'copied/plain.txt', dstPath: 'moved/plain.txt', removeOriginal: true }),
    moved: () => read(ids['plain.txt'].replace('plain.txt', 'moved/plain.txt')),
    movedAway: () => read(ids['plain.txt'].replace('plain.txt', 'copied/plain.txt')),
  })
}
Object.assign(operations, { remove, afterRemove, removeNothing })
