export * from './lite.js'
