import axios from 'axios'
import { parse } from '@scope/parse/lib/parse.js'
import cloud from 'wx-server-sdk'
import { helper } from './helper.js'
export const main = async () => helper(axios, parse, cloud)
