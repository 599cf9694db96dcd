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
  NotAllowedError:
    "The camera is blocked for this page: allow it in the browser's address bar, and start again.",
  NotFoundError: "There is no camera: connect one, and start again.",
  NotReadableError: "Another program uses the camera: close it, and start again.",
};
const NO_HAND = "No hand: the whole hand in the picture, and more light";
const FINGERTIPS = { J: 20, Z: 8 };

const ui = Object.fromEntries(
  Array.from(document.querySelectorAll("[id]"), (part) => [part.id, part]),
);
const pen = ui.overlay.getContext("2d");
const colours = getComputedStyle(document.documentElement);
const [page, practice] = [document.body.dataset, new Practice()];
let network, strokes, finder, list, spellers;
let [frames, rightHand, advised, wrong] = [[], 0, 0, []];
const isPractice = () => page.mode === "practice";
const seconds = () => performance.now() / 1000;

// What is shown

function showSign(letter) {
  for (const button of ui.alphabet.children) {
    button.ariaCurrent = String(button.dataset.letter === letter);
  }
  ui.sign.hidden = !letter;
  if (!letter) return;
  const hands = examples.strokes[letter] ?? examples.letters[letter].slice(0, 1);
  showHand(ui.sign.firstElementChild, hands, FINGERTIPS[letter]);
  ui.sign.lastElementChild.textContent = `${letter}: ${signs[letter][0]}`;
}

function showText() {
  const { spelled } = spellers.spell;
  ui.text.textContent = spelled.map(({ letter }) => letter).join("");
  const start = spelled.findLastIndex(({ letter }) => letter === " ") + 1;
  const buttons = list.suggest(spelled.slice(start)).map((word, i) => {
    const button = Object.assign(document.createElement("button"), { textContent: word });
    button.dataset.key = i + 1;
    button.innerHTML += ` <kbd>${i + 1}</kbd>`;
    button.onclick = () => {
      spelled.splice(start);
      for (const letter of `${word} `) spellers.spell.add(letter, seconds());
      showText();
    };
    return button;
  });
  ui.words.replaceChildren(...buttons);
}

function showPractice() {
  const { target, index, record } = practice;
  const parts = [target.slice(0, index), target[index] ?? "", target.slice(index + 1)];
  for (const [i, part] of parts.entries()) ui.target.children[i].textContent = part;
  const best = practice.of(practice.letter ?? target).best;
  const facts = {
    "in a row": record.streak,
    "longest row": record.longest,
    "letters right": Object.values(record.letters).reduce((sum, { right }) => sum + right, 0),
    "best time": best ? `${best.toFixed(1)} s` : "–",
  };
  ui.score.innerHTML = Object.entries(facts)
    .map(([name, fact]) => `<div><dt>${name}</dt><dd>${fact}</dd></div>`)
    .join("");
  for (const button of ui.alphabet.children) {
    const { right, missed } = practice.of(button.dataset.letter);
    button.style.setProperty("--level", right / (right + missed + 2));
  }
}

function ask() {
  practice.ask(document.querySelector("[name=kind]:checked").value === "words", seconds());
  showSign(null);
  showPractice();
  ui.said.textContent = `Sign ${practice.target}`;
}

function say(text, kind) {
  const line = Object.assign(document.createElement("li"), { textContent: text, className: kind });
  ui.advice.replaceChildren(line);
  advised = seconds() + 1; // until then it stays
}

// What a letter, or a frame, leads to

function count(letter) {
  ui.said.textContent = letter;
  if (!isPractice()) return showText();
  const wanted = practice.letter;
  const right = practice.take(letter, seconds());
  if (right) say(`${letter} is right!`, "right");
  else if (letter !== POSES[wanted]) say(`That was read as ${letter}.`, "wrong");
  ui.said.textContent = ui.advice.textContent;
  if (right && practice.letter) showSign(null);
  if (right && !practice.letter) ask();
  else showPractice();
}

function advance(landmarks, top) {
  if (seconds() < advised) return;
  const wanted = practice.letter;
  const pose = POSES[wanted] ?? wanted;
  const notes =
    top === pose ? [] : advise(landmarks, examples.letters[pose], signs[wanted][1]).slice(0, 2);
  wrong = notes.flatMap(({ fingers }) => fingers);
  let texts = notes.map(({ text }) => text);
  if (!texts.length && top !== pose) texts = [`It still looks like ${top}. ${signs[wanted][0]}`];
  if (!texts.length) texts = [pose === wanted ? "Hold it …" : signs[wanted][0]];
  ui.advice.replaceChildren(
    ...texts.map((textContent) => Object.assign(document.createElement("li"), { textContent })),
  );
  advised = seconds() + 0.4;
}

async function takeFrame(hand) {
  const time = seconds();
  frames = [...frames.filter((other) => other > time - 2), time];
  const speed = `${(frames.length / 2).toFixed(0)} frames/s`;
  const speller = spellers[page.mode];
  if (!hand) {
    pen.clearRect(0, 0, ui.overlay.width, ui.overlay.height);
    [ui.letter.textContent, ui.status.textContent] = ["", `${NO_HAND} · ${speed}`];
    if (speller.miss(time) && !isPractice()) showText();
    return;
  }
  rightHand += 0.1 * ((hand.hand === "right") - rightHand);
  document.body.classList.toggle("left-handed", rightHand > 0.5);
  const side = rightHand > 0.5 ? -1 : 1;
  const landmarks = hand.landmarks.map((x, i) => (i % 3 ? x : side * x));
  const probabilities = await network.read(landmarks, [1, 21, 3]);
  const stroke = await strokes.step(time, landmarks);
  const { letter, share, counted } = speller.step(time, landmarks, probabilities, stroke);
  const top = probabilities.indexOf(Math.max(...probabilities));
  if (counted) count(counted);
  if (isPractice()) advance(landmarks, network.classNames[top]);
  pen.clearRect(0, 0, ui.overlay.width, ui.overlay.height);
  if (page.state === "demo") drawHand(pen, hand.landmarks, colours);
  else drawBones(pen, hand.landmarks, colours, isPractice() ? wrong : []);
  ui.letter.textContent = letter;
  ui.badge.style.setProperty("--share", share);
  ui.badge.classList.toggle("counted", share === 1);
  const read = `${network.classNames[top]} ${(100 * probabilities[top]).toFixed(0)} %`;
  ui.status.textContent = `${read} · ${speed}`;
}

async function run(source, state) {
  page.state = state;
  showText();
  let shown;
  for (;;) {
    await new Promise((resolve) =>
      state === "live"
        ? ui.video.requestVideoFrameCallback(resolve)
        : requestAnimationFrame(resolve),
    );
    const [hand] = await Promise.all([source.find(ui.video), shown]);
    shown = takeFrame(hand); // while the finder is at the next frame
  }
}

// How it starts

async function startCamera() {
  ui.trouble.textContent = "";
  if (!navigator.mediaDevices)
    throw new Error("A browser lends its camera only to pages from https or localhost.");
  const video = { width: 640, height: 480, facingMode: "user" };
  try {
    ui.video.srcObject = await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    throw new Error(TROUBLES[error.name] ?? error.message);
  }
  await ui.video.play();
  [ui.overlay.width, ui.overlay.height] = [ui.video.videoWidth, ui.video.videoHeight];
  await run(finder, "live");
}

const startDemo = (text) => run(new DrawnHand(text, examples), "demo");

let [received, expected] = [0, 0]; // bytes
async function download(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} is missing beside this page: make live puts it there.`);
  expected += Number(answer.headers.get("content-length"));
  const counter = new TransformStream({
    transform(part, controller) {
      received += part.length;
      ui.loading.value = Math.min(received / expected, 0.99);
      ui.loaded.textContent = `Loading ${[received, expected].map((bytes) => (bytes / 1e6).toFixed(1)).join(" of ")} MB …`;
      controller.enqueue(part);
    },
  });
  return new Response(answer.body.pipeThrough(counter)).arrayBuffer();
}

async function useNetwork(content) {
  network = await Network.open(content, 24);
  spellers = { spell: new Speller(network.classNames), practice: new Speller(network.classNames) };
}

async function load() {
  const names = ["ort-wasm-simd-threaded.wasm", "hands.onnx", "motion.onnx", "words.txt"];
  const [wasm, hands, motion, words] = await Promise.all(names.map(download));
  list = new WordList(new TextDecoder().decode(words));
  Network.prepare(wasm);
  await useNetwork(hands);
  strokes = new StrokeReader(await Network.open(motion, 4));
  ui.demo.disabled = false;
  ui.loaded.textContent = "Starting the hand finder …";
  finder = await HandFinder.load();
  ui.camera.disabled = false;
  ui.loading.value = 1;
  ui.loaded.textContent = "";
}

const edit = (change) => () => {
  change(spellers.spell);
  showText();
};
const clicks = {
  camera: () => startCamera(),
  demo: () => startDemo("HELLO JAZZ"),
  space: edit((speller) => speller.add(" ", seconds())),
  erase: edit(({ spelled }) => spelled.pop()),
  clear: edit(({ spelled }) => spelled.splice(0)),
  copy: async () => {
    await navigator.clipboard.writeText(ui.text.textContent.trim());
    ui.said.textContent = ui.about.textContent = "Copied.";
  },
  show: () => showSign(ui.sign.hidden ? practice.letter : null),
  skip: () => {
    practice.take(null, seconds());
    ask();
  },
  forget: () => {
    practice.forget();
    showPractice();
  },
};
const report = (error) => {
  page.state = "start";
  ui.trouble.textContent = error.message;
};
for (const [name, action] of Object.entries(clicks)) {
  ui[name].onclick = () => Promise.resolve(action()).catch(report);
}
document.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.closest("button, label, input")) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!button?.checkVisibility()) return;
  event.preventDefault();
  button.click();
};
for (const input of document.querySelectorAll("[name=mode]")) {
  input.onchange = () => {
    page.mode = input.value;
    showSign(null);
    if (isPractice()) ask();
  };
}
for (const input of document.querySelectorAll("[name=kind]")) input.onchange = ask;
ui.network.onchange = async () => {
  const [file] = ui.network.files;
  try {
    await useNetwork(await file.arrayBuffer());
    ui.about.textContent = `Reads with ${file.name}.`;
  } catch (error) {
    ui.about.textContent = `${file.name} cannot be used: ${error.message}.`;
  }
};
for (const letter of Object.keys(signs)) {
  const button = document.createElement("button");
  button.dataset.letter = letter;
  button.innerHTML = `<canvas width="120" height="120"></canvas>${letter}`;
  button.onclick = () => showSign(button.ariaCurrent === "true" ? null : letter);
  ui.alphabet.append(button);
  showHand(
    button.firstElementChild,
    (examples.strokes[letter] ?? examples.letters[letter]).slice(0, 1),
    FINGERTIPS[letter],
  );
}
showHand(ui.hello, examples.letters.Y.slice(0, 1));
const demo = new URLSearchParams(location.search).get("demo");
load()
  .then(() => demo && startDemo(demo.toUpperCase()))
  .catch(report);
