// Evaluated before the Tab key is held down: writes down where the focus is whenever the next Tab comes.
// Gives how many Tabs it takes from the main part to the last stop, at most `most`; of a longer page the middle is left out.
most => {
  const isThere = e => e.checkVisibility({visibilityProperty: true}) && !e.closest('[inert]')
  const kinds = 'a[href], button, input:not([type=hidden]), select, textarea, summary, iframe, video[controls], [tabindex]'
  const isOtherChoice = e => e.type === 'radio' && !e.checked // of the ways to choose one thing, one is a stop
    && document.querySelector(`[name="${CSS.escape(e.name)}"]:checked`)
  const isUsed = e => e.matches(kinds) && e.tabIndex >= 0 && !e.disabled && isThere(e) && !isOtherChoice(e)
  const scrolls = e => {
    const {overflowX, overflowY} = getComputedStyle(e)
    return (/auto|scroll/.test(overflowX) && e.scrollWidth > e.clientWidth + 1)
      || (/auto|scroll/.test(overflowY) && e.scrollHeight > e.clientHeight + 1)
  }
  const isRead = e => isThere(e) && scrolls(e) && ![...e.querySelectorAll('*')].some(isUsed) // by scrolling alone
  const stops = [...document.querySelectorAll('main *, footer *')].filter(e => isUsed(e) || isRead(e))
  const half = most / 2, onward = stops.length > most ? stops.splice(half, stops.length - most + 1).at(-1) : null

  const called = e => {
    const words = e.labels?.[0]?.innerText || e.getAttribute('aria-label') || e.innerText || e.name || e.className
    return `<${e.localName}> ${words.trim().replace(/\s+/g, ' ').slice(0, 60)}`
  }
  const isCut = (box, reach) => outer => { // by what does not show what lies beyond its edge
    const {overflowX, overflowClipMargin} = getComputedStyle(outer)
    if (overflowX === 'visible' || outer.matches('html, body')) return false
    const room = overflowX === 'clip' ? parseFloat(overflowClipMargin) || 0 : 0, edge = outer.getBoundingClientRect()
    const beyond = [edge.left - box.left, edge.top - box.top, box.right - edge.right, box.bottom - edge.bottom]
    return beyond.filter(over => over + reach > room).length > 1
  }
  const faultOf = e => {
    const box = [...e.getClientRects()].find(each => each.width && each.height), style = getComputedStyle(e)
    if (!box) return 'has no place'
    const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth)
    const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight)
    const isPartly = e.localName !== 'textarea' && box.height < innerHeight - 48 // of a text the caret is brought into sight
      && (left - box.left > 1 || box.right - right > 1 || top - box.top > 2 || box.bottom - bottom > 2)
    if (isPartly || left >= right || top >= bottom) return 'is not all in sight'
    const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2)
    if (!e.contains(hit) && ![...e.labels ?? []].some(label => label.contains(hit))) return `lies under ${called(hit)}`
    if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) return 'does not show the focus'
    const around = []
    for (let outer = e.parentElement; outer; outer = outer.parentElement) around.push(outer)
    if (around.some(isCut(box, parseFloat(style.outlineOffset) + 2))) return 'has its mark cut off'
  }

  const found = [...document.querySelectorAll('[tabindex]')].filter(e => e.tabIndex > 0)
    .map(e => `${called(e)} comes before its turn`)
  const met = []
  const note = () => {
    const e = document.activeElement
    if (e === document.body || e.id === 'main' || met.at(-1) === e) return // a date has a stop for day, month and year
    const fault = met.includes(e) ? 'comes again' : faultOf(e)
    if (fault) found.push(`${called(e)} ${fault}`)
    if (met.length && met.at(-1).compareDocumentPosition(e) & Node.DOCUMENT_POSITION_PRECEDING)
      found.push(`${called(e)} comes after what stands below it`)
    met.push(e)
  }
  addEventListener('keydown', note, true)
  window.tabbing = {
    leap: () => { note(); onward.focus() },
    end: () => {
      note()
      removeEventListener('keydown', note, true)
      return [...found, ...stops.filter(e => !met.includes(e)).map(e => `${called(e)} is not reached`)]
    },
  }
  document.getElementById('main').focus()
  scrollTo(0, 0)
  const places = stops.map(e => ({date: 4, 'datetime-local': 7})[e.type] ?? 1)
  const sum = some => some.reduce((all, each) => all + each, 0)
  return onward ? [sum(places.slice(0, half)), sum(places.slice(half))] : [sum(places), 0]
}
