import { createApp, ref } from 'vue'
import { createRouter, createWebHistory } from 'vue-router'

const Home = { template: '<h1 id="title">首页</h1>' }
const User = {
  setup() {
    const path = ref('')
    const ask = async () => {
      const reply = await fetch(`/api/users/${location.pathname.split('/').pop()}?a=1`, {
        method: 'POST',
        body: 'x',
      })
      path.value = (await reply.json()).event.path
    }
    return { path, ask }
  },
  template:
    '<h1 id="title">user {{ $route.params.name }}</h1><button id="ask" @click="ask">ask</button><p id="path">{{ path }}</p>',
}

const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', component: Home },
    { path: '/users/:name', component: User },
  ],
})
createApp({
  template: '<nav><RouterLink id="to-user" to="/users/john.doe">user</RouterLink></nav><RouterView />',
})
  .use(router)
  .mount('#app')
