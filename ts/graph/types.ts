// The contract between the graph and its modules. A module declares connectors and parameters (SPEC section 4),
// says what its outputs look like before any GPU work, and adds buffers and nodes to the plan.

import type { Place } from '../errors.js';
import type { BindingKind, DeviceInfo } from '../gpu/types.js';

export type ConnectorType = 'read' | 'write' | 'source' | 'sink';
export type Channels = 'rgba' | 'ssbo';
export type Format = 'f16' | 'f32' | 'ui8' | 'ui16';

export interface ConnectorSpec {
  name: string;
  type: ConnectorType;
  channels: Channels | '*';
  format: Format | '*';
  /** An input that may stay unconnected. */
  optional?: boolean;
}

export interface ParamSpec {
  name: string;
  type: 'int' | 'float' | 'string' | 'enum';
  default: number | string;
  /** enum: the values by name. */
  values?: readonly string[];
  /** int, float: inclusive bounds, checked when the graph is read. */
  min?: number;
  max?: number;
  /** Number of values; default 1. */
  count?: number;
  /** Whether keyframes and paramsub/inc/dec make sense: the module reads it anew each frame. */
  animated?: boolean;
  doc: string;
}

/** What flows over a connection, known before any GPU work. Images are row-major storage buffers, 4 channels a pixel. */
export interface PortShape {
  channels: Channels;
  format: Format;
  /** rgba: pixels of one tile. ssbo: `width` elements of `format`, height 1 unless it is a matrix. */
  width: number;
  height: number;
  /** Tiles, one after the other in memory (a batch); 1 for a picture. */
  count: number;
  /** The noise profile that belongs to a picture, where its module knows it. */
  noise?: { a: number; b: number };
  /** Text that goes behind a LUT's data (the weights' description). */
  text?: string;
  /** Whether the contents change from frame to frame because of the host (a sequence). */
  perFrame?: boolean;
  /** A sequence: after how many frames it starts over. Pictures that belong together must agree in it. */
  period?: number;
  /** Least and greatest value of a picture read from a file (of a sequence: its first), so that whoever keeps it in f16 can refuse it. */
  range?: { min: number; max: number };
  /** The camera's EXIF block (a TIFF structure), for modules to hand on to the output. */
  exif?: Uint8Array;
  /** The colour profile of the picture's file, for outputs that are to be like it. */
  icc?: Uint8Array;
  /** Of camera rgb: what sinks do to it before anything else. The data are f16 pixels of this shape. */
  develop?: (data: Uint16Array, shape: PortShape) => Promise<DevelopedPicture>;
  /** Of a denoised picture: which noise was taken off, and how far (0..1). */
  denoised?: { a: number; b: number; strength: number };
  /** Of values that aren't a picture (weights, signed, unscaled): how sinks of pictures for looking at show them. */
  draw?: (values: Float32Array) => Promise<DrawnPicture>;
}

/** A picture that the host drew: linear rec2020. */
export interface DrawnPicture {
  width: number;
  height: number;
  /** (y, x, c), alpha 1. */
  rgba: Float32Array;
}

/** Linear rec2020, upright: (y, x, c) in f16, alpha 1. */
export interface DevelopedPicture {
  width: number;
  height: number;
  rgba: Uint16Array;
}

/** A buffer of the plan; becomes (or shares) a GPU buffer when the plan is allocated. */
export interface PlanBuffer {
  readonly id: number;
  readonly name: string;
  readonly bytes: number;
  /** Keeps its contents from frame to frame, so never shares memory. */
  readonly persistent: boolean;
  /** Contents before frame 0. */
  readonly init?: 'zero' | Uint8Array;
}

export interface Port {
  shape: PortShape;
  buffer: PlanBuffer;
}

/** One dispatch. Barriers come from `uses`. */
export interface NodeDesc {
  /** Unique in its module: "fwd", "up 2". */
  label: string;
  /** File under glsl/ without ending: "kpn/fwd"; `variant` names one of its builds ("plain", "khr", "f32"). */
  kernel: string;
  variant?: string;
  spec?: Record<number, number | boolean | { f: number }>;
  push?: Uint8Array;
  groups: [number, number, number];
  /** Binding = index. */
  uses: { buffer: PlanBuffer; access: 'r' | 'w' | 'rw'; kind?: BindingKind }[];
  subgroupSize?: number;
  fullSubgroups?: boolean;
}

export interface InstanceInfo {
  module: string;
  inst: string;
  /** Where the graph file names it. */
  place: Place;
}

/** Reading parameters, with the place they were set at for messages. */
export interface ParamReader {
  /** The value at a frame (keyframes applied). */
  float(name: string, frame?: number): number;
  int(name: string, frame?: number): number;
  string(name: string): string;
  /** Whether the graph sets it (else it has its default). */
  isSet(name: string): boolean;
  /** Where it was set, or where the module was named. */
  place(name: string): Place;
  /** Whether its value differs between frames. */
  isAnimated(name: string): boolean;
}

export interface ShapeContext {
  info: InstanceInfo;
  params: ParamReader;
  frames: number;
  /** Shapes at the inputs; undefined where unconnected (or, in the first of two passes, where a feedback's source comes later). */
  input(name: string): PortShape | undefined;
  /** Whether anything reads this output. */
  isConnected(output: string): boolean;
  /** Folder of the graph file: inputs are relative to it. */
  graphDir: string;
  warn(message: string): void;
}

export interface BuildContext extends ShapeContext {
  device: DeviceInfo;
  port(name: string): Port | undefined;
  /** The buffer of an output declared by `shapes`; allocated even when nothing reads it. `persistent` where it must survive frames. */
  output(name: string, options?: { persistent?: boolean; init?: 'zero' | Uint8Array }): PlanBuffer;
  buffer(name: string, bytes: number, options?: { persistent?: boolean; init?: 'zero' | Uint8Array }): PlanBuffer;
  node(desc: NodeDesc): void;
  /** Copies from buffer to buffer in the frame, ordered with the nodes. */
  copy(src: PlanBuffer, dst: PlanBuffer, bytes: number): void;
}

/** What a module may do between submits; the device is idle. */
export interface FrameContext {
  /** Only into persistent buffers: others share their memory. */
  write(buffer: PlanBuffer, data: ArrayBufferView, offset?: number): void;
  read(buffer: PlanBuffer, offset?: number, bytes?: number): Promise<Uint8Array>;
  params: ParamReader;
}

/** A part of a picture, pixels. */
export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A number shown in the progress line, by a module that trains. */
export interface Status {
  /** "loss", "|g|", "skipped"; in the order to show. */
  values: { name: string; value: number }[];
  /** Sentences to print once, e.g. about NaN pixels. */
  warnings?: string[];
}

/** A buffer of a checkpoint, named for people and other programs. */
export interface StateTensor {
  buffer: PlanBuffer;
  /** Unique in its module: "master". */
  name: string;
  type: 'f16' | 'f32' | 'u32' | 'u8';
  shape: number[];
  /** The first dimension may differ from a checkpoint's (a history of more frames): what both have is restored. */
  grows?: boolean;
  /** What the words mean, where they are no array of numbers of a kind. */
  values?: (bytes: Uint8Array) => Record<string, number>;
}

/** What a checkpoint holds of a module. Every persistent buffer that a step writes is saved anyhow, named or not. */
export interface ModuleState {
  /** Names for buffers; those named here that only the host writes are saved too. */
  tensors?: StateTensor[];
  /** What the module keeps on the host that is no function of the frame's number: a JSON value, and taking it back. */
  save?: () => unknown;
  restore?: (value: unknown) => void;
}

export interface ModuleInstance {
  /**
   * The shapes of the outputs; checks parameters and inputs, reads headers of files. Throws InputError. No GPU.
   * Called once, in topological order (graphs where a feedback's source comes later: all modules are created and asked twice).
   */
  shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> | Record<string, PortShape>;
  /** After `shapes`: how many frames the run must have whatever the graph says (checking derivatives); undefined: the graph decides. */
  frames?(): number | undefined;
  /**
   * Adds buffers and nodes to the plan. Called again where the picture doesn't fit the device: the shapes of pictures at the ports are then those
   * of a window (see `windows`).
   */
  build(ctx: BuildContext): void;
  /**
   * After `shapes`, of a module that can work on windows of its pictures, one after the other: how many pixels of the input around a part of
   * the output decide on that part, and what a window's corner must be a multiple of. A source says so if it writes its pictures whole,
   * in one write; it is the graph that cuts windows out and puts results together (tiles.ts).
   */
  windows?(): { halo: number; align: number };
  /** Before each window: where in the whole picture it lies. */
  beforeWindow?(ctx: FrameContext, window: Rect): void;
  /** After `shapes`: the pictures that it reads, whichever frame they are for. Going on from a checkpoint with others is refused. */
  inputs?(): readonly string[];
  /** After `shapes`: whether a run with this module computes something that must not be lost: it then keeps checkpoints unless told not to. */
  trains?(): boolean;
  /** After `build`. */
  state?(): ModuleState;
  /**
   * Before frame `frame`; needed where a source or an animated parameter changes. The first frame that runs always gets it: frame 0, or the one that a run goes on
   * with from a checkpoint. What it writes must follow from the frame's number alone.
   */
  beforeFrame?(ctx: FrameContext, frame: number): Promise<void> | void;
  /** True where `beforeFrame` must be called before this frame (later than 0): ends a submit there. */
  changesAt?(frame: number): boolean;
  /**
   * Right before sinks are read, with the device idle: writes outputs that the host makes (pictures of training) into their
   * persistent buffers. Frames that no sink reads don't pay for it; a module between such an output and a sink sees it a frame late.
   */
  present?(ctx: FrameContext): Promise<void>;
  /**
   * A sink: writes what arrived at its (one) sink connector and returns the file's name, '' where it writes none.
   * `frame` names the file of a sequence. May overlap the following frames' GPU work; never called twice at once.
   */
  write?(input: { shape: PortShape; data: Uint8Array }, frame: number): Promise<string>;
  /** After a slice of frames: numbers for the progress line. */
  status?(ctx: FrameContext): Promise<Status>;
}

export interface ModuleType {
  name: string;
  doc: string;
  connectors: readonly ConnectorSpec[];
  params: readonly ParamSpec[];
  create(info: InstanceInfo): ModuleInstance;
}
