Page({ data: { name: 'a.mp3', dark: true, light: '' } })
