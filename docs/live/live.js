// The page: camera or drawn hand → landmarks → letters → what is shown. Nothing is sent anywhere.
import { DrawnHand } from "./demo.js";
import examples from "./examples.json" with { type: "json" };
import { HandFinder } from "./finder.js";
import { drawBones, drawHand, showHand } from "./hands-drawing.js";
import { Network } from "./letters.js";
import { StrokeReader } from "./motion.js";
import { advise, POSES, Practice } from "./practice.js";
import signs from "./signs.json" with { type: "json" };
import { Speller } from "./spelling.js";
import { WordList } from "./words.js";

const TROUBLES = {
  NotAllowedError: "The camera is blocked: allow it in the browser's address bar, and start again.",
  NotFoundError: "There is no camera: connect one, and start again.",
  NotReadableError: "Another program uses the camera: close it, and start again.",
};
const TIPS = { J: 20, Z: 8 }; // landmarks that draw

const parts = Array.from(document.querySelectorAll("[id]"), (part) => [part.id, part]);
const ui = Object.fromEntries(parts);
const pen = ui.overlay.getContext("2d");
const [page, practice] = [document.body.dataset, new Practice()];
let network, strokes, finder, list, spellers;
let [frames, rightHand, advised, wrong] = [[], 0, 0, []];
const seconds = () => performance.now() / 1000;
const fail = (text) => Promise.reject(new Error(text));
const framesOf = (letter) => examples.strokes[letter] ?? examples.letters[letter].slice(0, 1);

// What is shown

function showSign(letter) {
  const buttons = [...ui.alphabet.children];
  for (const button of buttons) button.ariaPressed = String(button.value === letter);
  ui.sign.hidden = !letter;
  if (!letter) return;
  showHand(ui.hand, framesOf(letter), TIPS[letter]);
  ui.how.textContent = `${letter}: ${signs.letters[letter][0]}`;
}

const startOfWord = (spelled) => spelled.findLastIndex(({ letter }) => letter === " ") + 1;

function showText() {
  const { spelled } = spellers.spell;
  ui.text.textContent = spelled.map(({ letter }) => letter).join("");
  const words = list.suggest(spelled.slice(startOfWord(spelled)));
  for (const [i, button] of [...ui.words.children].entries()) {
    button.hidden = !words[i];
    button.value = button.firstChild.textContent = words[i] ?? "";
  }
}

function edit(kept, added) {
  spellers.spell.spelled.splice(kept);
  for (const letter of added) spellers.spell.add(letter, seconds());
  showText();
}

function showPractice() {
  const { target, index, record, letter } = practice;
  ui.done.textContent = target.slice(0, index);
  ui.wanted.textContent = letter;
  ui.rest.textContent = target.slice(index + 1);
  ui.streak.textContent = record.streak;
  ui.longest.textContent = record.longest;
  const best = practice.of(letter).best;
  ui.best.textContent = best ? `${best.toFixed(1)} s` : "–";
  for (const button of ui.alphabet.children) {
    const { right, missed } = practice.of(button.value);
    button.style.setProperty("--level", right / (right + missed + 2));
  }
  showSign(ui.show.ariaPressed === "true" ? letter : null);
}

function ask() {
  practice.ask(ui.whole.checked, seconds());
  showPractice();
}

function say(text, kind, stays) {
  if (seconds() < advised && !kind) return;
  [ui.advice.textContent, ui.advice.className, advised] = [text, kind, seconds() + stays];
}

// What a frame leads to

function count(letter) {
  if (page.mode === "spell") {
    ui.said.textContent = letter;
    return showText();
  }
  const wanted = practice.letter;
  if (practice.take(letter, seconds())) say(`${letter} is right!`, "right", 1);
  else if (letter !== POSES[wanted]) say(`That was read as ${letter}.`, "wrong", 1);
  if (practice.letter) showPractice();
  else ask();
  ui.said.textContent = `${ui.advice.textContent} Now ${practice.letter}.`;
}

function help(landmarks, top) {
  const wanted = practice.letter;
  const pose = POSES[wanted] ?? wanted;
  const found = top === pose ? [] : advise(landmarks, examples.letters[pose], wanted).slice(0, 2);
  wrong = found.flatMap(({ fingers }) => fingers);
  const [sign] = signs.letters[wanted];
  const texts = found.map(({ text }) => text);
  if (top !== pose && !texts.length) texts.push(`It still looks like ${top}.`, sign);
  if (top === pose) texts.push(pose === wanted ? "Hold it …" : sign);
  say(texts.join("\n"), "", 0.4);
}

async function takeFrame(hand) {
  const time = seconds();
  frames = [...frames.filter((other) => other > time - 2), time];
  if (hand) rightHand += 0.1 * ((hand.hand === "right") - rightHand);
  const side = rightHand > 0.5 ? -1 : 1;
  document.body.classList.toggle("left-handed", side < 0);
  const landmarks = hand?.landmarks.map((x, i) => (i % 3 ? x : side * x));
  const probabilities = landmarks && (await network.read(landmarks, [1, 21, 3]));
  const stroke = await strokes.step(time, landmarks);
  const speller = spellers[page.mode];
  const { letter, share, counted } = speller.step(time, landmarks, probabilities, stroke);
  if (counted && (page.mode === "spell" || counted !== " ")) count(counted);

  let read = "Show your whole hand";
  if (!hand) say("", "", 0);
  pen.clearRect(0, 0, ui.overlay.width, ui.overlay.height);
  if (hand) {
    const top = probabilities.indexOf(Math.max(...probabilities));
    read = `${network.classNames[top]} ${(100 * probabilities[top]).toFixed(0)} %`;
    if (page.mode === "practice") help(landmarks, network.classNames[top]);
    if (page.state === "demo") drawHand(pen, hand.landmarks);
    else drawBones(pen, hand.landmarks, page.mode === "practice" ? wrong : []);
  }
  ui.status.textContent = `${read} · ${(frames.length / 2).toFixed(0)} frames/s`;
  ui.letter.textContent = letter;
  ui.badge.style.setProperty("--share", share);
  ui.badge.classList.toggle("counted", share === 1);
}

async function run(source, state, nextFrame) {
  [page.state, ui.trouble.textContent] = [state, ""];
  let shown;
  while (page.state === state) {
    await new Promise(nextFrame);
    const [hand] = await Promise.all([source.find(ui.video), shown]);
    shown = takeFrame(hand); // while the finder is at the next frame
  }
}

// How it starts

async function startCamera() {
  if (!navigator.mediaDevices) return fail("A camera is for pages from https or localhost alone.");
  const video = { width: 640, height: 480, facingMode: "user" };
  const lent = navigator.mediaDevices.getUserMedia({ video });
  ui.video.srcObject = await lent.catch(({ name, message }) => fail(TROUBLES[name] ?? message));
  await ui.video.play();
  [ui.overlay.width, ui.overlay.height] = [ui.video.videoWidth, ui.video.videoHeight];
  await run(finder, "live", (resolve) => ui.video.requestVideoFrameCallback(resolve));
}

function startDemo(text) {
  [ui.overlay.width, ui.overlay.height] = [640, 480];
  return run(new DrawnHand(text, examples), "demo", requestAnimationFrame);
}

const megabytes = { received: 0, expected: 0 };
async function download(name) {
  const answer = await fetch(name);
  if (!answer.ok) return fail(`${name} is missing beside this page: make live puts it there.`);
  megabytes.expected += answer.headers.get("content-length") / 1e6;
  const transform = (part, stream) => {
    const { expected, received } = megabytes;
    megabytes.received = received + part.length / 1e6;
    ui.loading.value = Math.min(received / expected, 0.99);
    ui.loaded.textContent = `${received.toFixed(1)} of ${expected.toFixed(1)} MB …`;
    stream.enqueue(part);
  };
  return new Response(answer.body.pipeThrough(new TransformStream({ transform }))).arrayBuffer();
}

async function useNetwork(content) {
  network = await Network.open(content, 24);
  spellers = { spell: new Speller(network.classNames), practice: new Speller(network.classNames) };
  showText();
}

async function load() {
  const names = ["ort-wasm-simd-threaded.wasm", "hands.onnx", "motion.onnx", "words.txt"];
  const [wasm, hands, motion, words] = await Promise.all(names.map(download));
  list = new WordList(new TextDecoder().decode(words));
  Network.prepare(wasm);
  strokes = new StrokeReader(await Network.open(motion, 4));
  await useNetwork(hands);
  ui.demo.disabled = false;
  ui.loaded.textContent = "Starting the hand finder …";
  const demo = new URLSearchParams(location.search).get("demo");
  if (demo) await startDemo(demo.toUpperCase());
  finder = await HandFinder.load();
  ui.camera.disabled = false;
  ui.loading.value = 1;
  ui.loaded.textContent = "";
}

const actions = {
  camera: startCamera,
  demo: () => startDemo("HELLO JAZZ"),
  back() {
    page.state = "start";
    for (const track of ui.video.srcObject?.getTracks() ?? []) track.stop();
  },
  words: ({ value }) => edit(startOfWord(spellers.spell.spelled), `${value} `),
  space: () => edit(Infinity, " "),
  erase: () => edit(-1, ""),
  clear: () => edit(0, ""),
  copy: () => navigator.clipboard.writeText(ui.text.textContent.trim()),
  alphabet: ({ value, ariaPressed }) => showSign(ariaPressed === "true" ? null : value),
  show() {
    ui.show.ariaPressed = String(ui.show.ariaPressed !== "true");
    showPractice();
  },
  skip() {
    practice.take(null, seconds());
    ask();
  },
  forget() {
    practice.forget();
    showPractice();
  },
};
const changes = {
  mode({ value }) {
    page.mode = value;
    showSign(null);
    if (value === "practice") ask();
  },
  kind: ask,
  async network({ files: [file] }) {
    const used = useNetwork(await file.arrayBuffer()).then(() => `Reads with ${file.name}.`);
    ui.about.textContent = await used.catch(() => `${file.name} cannot be used here.`);
  },
};
const report = (error) => {
  [page.state, ui.trouble.textContent] = ["start", error.message];
};
document.onchange = ({ target }) => changes[target.name](target);
document.onclick = async ({ target }) => {
  const button = target.closest("button");
  const action = button && actions[button.id || button.parentElement.id];
  if (action) await Promise.resolve(action(button)).catch(report);
};
document.onkeydown = (event) => {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || (key === " " && target !== document.body)) return;
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!button?.checkVisibility()) return;
  event.preventDefault();
  button.click();
};

for (const letter of Object.keys(signs.letters)) {
  const button = Object.assign(document.createElement("button"), { value: letter, type: "button" });
  button.append(document.createElement("canvas"), letter);
  [button.firstChild.width, button.firstChild.height] = [120, 120];
  ui.alphabet.append(button);
  showHand(button.firstChild, framesOf(letter).slice(0, 1));
}
showHand(ui.hello, framesOf("Y"));
load().catch(report);
