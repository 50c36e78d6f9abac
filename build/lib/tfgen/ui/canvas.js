// The canvas of canvas.py, as `js_on_load` of gr.HTML: draws strokes; its value, the picture's address, gets the strokes' as a
// second word and the event `input` comes when a stroke has ended.
const sheet = () => element.querySelector("canvas")
const context = () => sheet().getContext("2d", {willReadFrequently: true})
const inks = () => [...element.querySelectorAll("[data-ink]")]
let ink = inks()[0].dataset.ink, before = [], last = null

const mark = () => inks().forEach(one => one.classList.toggle("on", one.dataset.ink === ink))
const at = event => {
    const box = sheet().getBoundingClientRect()
    return [(event.clientX - box.left) * sheet().width / box.width, (event.clientY - box.top) * sheet().height / box.height]
}
const line = (from, to) => {
    const pen = context()
    Object.assign(pen, {lineCap: "round", lineWidth: Number(element.querySelector("input").value), strokeStyle: ink || "#000",
                        globalCompositeOperation: ink ? "source-over" : "destination-out"})
    pen.beginPath()
    pen.moveTo(...from)
    pen.lineTo(...to)
    pen.stroke()
}
const keep = () => { before = [...before.slice(-20), context().getImageData(0, 0, sheet().width, sheet().height)] }
const clear = () => context().clearRect(0, 0, sheet().width, sheet().height)
const tell = () => {
    props.value = (props.value || "").split(" ")[0] + " " + sheet().toDataURL()
    trigger("input")
}
const tools = {
    undo: () => { if (before.length) context().putImageData(before.pop(), 0, 0) },
    clear: () => { keep(); clear() },
}

element.addEventListener("pointerdown", event => {
    if (event.target !== sheet()) return
    event.preventDefault()
    sheet().setPointerCapture(event.pointerId)
    keep()
    last = at(event)
    line(last, last)
})
element.addEventListener("pointermove", event => {
    if (!last) return
    const next = at(event)
    line(last, next)
    last = next
})
for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => {
    if (!last) return
    last = null
    tell()
})
element.addEventListener("click", event => {
    const button = event.target.closest("button")
    if (!button) return
    if ("ink" in button.dataset) ink = button.dataset.ink
    else { tools[button.dataset.tool](); tell() }
    mark()
})
// Another picture has no strokes.
watch("value", () => {
    if ((props.value || "").includes(" ")) return
    clear()
    before = []
    mark()
})
mark()
