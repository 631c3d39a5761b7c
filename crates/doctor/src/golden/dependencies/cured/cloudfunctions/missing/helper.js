import dayjs from 'dayjs'
import axios from 'axios'
export const helper = () => dayjs()
