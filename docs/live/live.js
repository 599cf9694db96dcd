// Camera → hand (MediaPipe) → landmarks → letter (the network of `python -m sign_cnn.export`) → word. Nothing is sent anywhere.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

const HELD_MS = 500; // a letter counts once it is held so long
const THRESHOLD = 0.5; // probability below which a letter is unsure
const FINGERS = [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [0, 17, 18, 19, 20], [5, 9, 13, 17]];

const find = (selector) => document.querySelector(selector);
const [video, canvas, word, top3] = ["video", "canvas", "#word", "#top"].map(find);
const pen = canvas.getContext("2d");
let network, classNames, held = { letter: "", since: 0, taken: false }, frames = [];

async function loadNetwork(content) {
  const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
  const text = new TextDecoder("latin1").decode(content); // onnxruntime-web does not hand out the metadata
  const found = /"class_names": (\[[^\]]*\])/.exec(text);
  if (!found || !session.outputNames.includes("embedding")) throw new Error("it is no exported network of landmarks");
  [network, classNames] = [session, JSON.parse(found[1])];
}

/** Landmarks of the first hand, mirrored to what MediaPipe calls a left one; x, y, z in pixels. */
function asLandmarks(results) {
  const { width, height } = canvas;
  const side = results.multiHandedness[0].label === "Right" ? -1 : 1;
  return Float32Array.from(results.multiHandLandmarks[0].flatMap(({ x, y, z }) => [side * x * width, y * height, z * width]));
}

async function read(results) {
  const inputs = new ort.Tensor("float32", asLandmarks(results), [1, 21, 3]);
  const { probabilities } = await network.run({ inputs }, ["probabilities"]);
  return [...probabilities.data].map((p, i) => [classNames[i], p]).sort((a, b) => b[1] - a[1]);
}

function draw(results) {
  pen.drawImage(results.image, 0, 0, canvas.width, canvas.height);
  for (const hand of results.multiHandLandmarks.slice(0, 1)) {
    const at = hand.map(({ x, y }) => [x * canvas.width, y * canvas.height]);
    for (const [colour, width] of [["#000", 7], ["#0bf", 4]]) {
      [pen.strokeStyle, pen.lineWidth, pen.lineCap] = [colour, width, "round"];
      pen.beginPath();
      for (const finger of FINGERS) finger.forEach((point, i) => pen[i ? "lineTo" : "moveTo"](...at[point]));
      pen.stroke();
    }
  }
}

/** Take over a letter that was held; the same one again only after another, or none. */
function hold(letter) {
  const now = performance.now();
  if (letter !== held.letter) held = { letter, since: now, taken: false };
  const share = letter && !held.taken ? Math.min((now - held.since) / HELD_MS, 1) : 0;
  find("#held").style.width = `${100 * share}%`;
  if (share === 1) {
    word.value += letter;
    held.taken = true;
  }
}

async function show(results) {
  draw(results);
  frames = [...frames.filter((time) => time > performance.now() - 2000), performance.now()];
  const speed = `${(frames.length / 2).toFixed(0)} frames/s`;
  if (!results.multiHandLandmarks.length) {
    find("#letter").textContent = "";
    top3.textContent = `No hand: more light, the whole hand in the frame · ${speed}`;
    return hold("");
  }
  const ranking = await read(results);
  const [letter, probability] = ranking[0];
  const sure = probability >= THRESHOLD;
  find("#letter").textContent = sure ? letter : "?";
  top3.textContent = `${ranking.slice(0, 3).map(([l, p]) => `${l} ${(100 * p).toFixed(0)} %`).join("  ")} · ${speed}`;
  hold(sure ? letter : "");
}

function edit(change) {
  return () => { word.value = change(word.value); };
}

find("#space").onclick = edit((text) => `${text} `);
find("#delete").onclick = edit((text) => text.slice(0, -1));
find("#clear").onclick = edit(() => "");
find("#network").onchange = async ({ target }) => {
  try {
    await loadNetwork(new Uint8Array(await target.files[0].arrayBuffer()));
    find("#about").textContent = `Reads with ${target.files[0].name}.`;
  } catch (error) {
    find("#about").textContent = `${target.files[0].name} cannot be used: ${error.message}.`;
  }
};

async function start() {
  ort.env.wasm.numThreads = 1; // more need headers that a plain static host does not send
  const answer = await fetch("hands.onnx");
  if (!answer.ok) throw new Error("hands.onnx is not beside this page: make live");
  await loadNetwork(new Uint8Array(await answer.arrayBuffer()));
  const hands = new Hands({ locateFile: (name) => `node_modules/@mediapipe/hands/${name}` });
  const modelComplexity = new URLSearchParams(location.search).has("lite") ? 0 : 1; // index.html?lite: faster, less exact
  hands.setOptions({ maxNumHands: 1, modelComplexity, minDetectionConfidence: 0.5, minTrackingConfidence: 0.5 });
  let latest;
  hands.onResults((results) => { latest = show(results); });
  await hands.initialize();
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "user" } });
  } catch {
    throw new Error("the camera is not to be had: allow it for this page, and reload (a page needs https or localhost)");
  }
  await video.play();
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  for (;;) {
    await hands.send({ image: video });
    await latest;
    await new Promise(requestAnimationFrame);
  }
}

start().catch((error) => { top3.textContent = `This does not work here: ${error.message}`; });
