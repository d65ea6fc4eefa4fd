import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { ISignal, Signal } from '@lumino/signaling';

/** Where a job comes from. */
export interface IOrigin {
  notebook: string;
  cell: number;
  script: string;
}

/** What this server's job uses; memory in bytes, null where it is not known. */
export interface IUsage {
  cores: number | null;
  cores_asked: number | null;
  memory: number | null;
  memory_asked: number | null;
  gpus_asked: number | null;
  gpus: number | null;
}

/** One job, or one executor, as the server sends it; moments in seconds since the epoch. */
export interface IRow {
  id: string;
  kind: string;
  name: string;
  job_id: string;
  scheduler: string;
  state: string;
  words: string;
  advice: string;
  queue: string;
  node: string;
  submitted: number | null;
  started: number | null;
  expected: number | null;
  until: number | null;
  ended: boolean;
  origin: IOrigin;
  parent: string;
  calls: [number, number, number] | null;
  usage: IUsage | null;
  has_log: boolean;
  can_cancel: boolean;
}

type Message =
  | { type: 'time'; now: number; root: string }
  | { type: 'all'; rows: IRow[] }
  | { type: 'changes'; changed: IRow[]; removed: string[] }
  | { type: 'ending' }
  | { type: 'killed'; kernel: string };

const FIRST_RECONNECT_MS = 1000;
const LAST_RECONNECT_MS = 30000;

/** The rows, kept up to date over one connection for all parts of this page. */
export class JobsModel {
  /** `language` is that of the texts that the server sends, such as `de-DE`. */
  constructor(
    readonly settings: ServerConnection.ISettings,
    private _language: string
  ) {
    this._connect();
  }

  /** Emitted when rows have changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted when the connection to the server is lost, each time that it cannot be made again. */
  get lost(): ISignal<this, void> {
    return this._lost;
  }

  /** Emitted when there is a connection again. */
  get connected(): ISignal<this, void> {
    return this._connected;
  }

  /** Emitted with the id of a kernel that was killed because the memory of this job ran out. */
  get killed(): ISignal<this, string> {
    return this._killed;
  }

  /** The row of the job in which this server runs. */
  get server(): IRow | undefined {
    return this._rows.get('server');
  }

  get rows(): IRow[] {
    return Array.from(this._rows.values());
  }

  /** Whether the server has said that it ends. */
  get isEnding(): boolean {
    return this._isEnding;
  }

  /** Return a row. */
  row(id: string): IRow | undefined {
    return this._rows.get(id);
  }

  /** Return the time by the server's clock, in seconds since the epoch. */
  now(): number {
    return (Date.now() + this._skewMs) / 1000;
  }

  /** Return the path of a file below the server's root folder, empty for others. */
  pathOf(file: string): string {
    const root = this._root.endsWith('/') ? this._root : `${this._root}/`;
    return this._root && file.startsWith(root) ? file.slice(root.length) : '';
  }

  /** Note whether one part of this page shows the list: only then the scheduler is asked. */
  setOpen(who: string, isOpen: boolean): void {
    const before = this._open.size > 0;
    if (isOpen) {
      this._open.add(who);
    } else {
      this._open.delete(who);
    }
    if (before !== this._open.size > 0) {
      this._sendOpen();
    }
  }

  private _sendOpen(): void {
    if (this._socket?.readyState === WebSocket.OPEN) {
      const isOpen = this._open.size > 0 && !document.hidden;
      this._socket.send(JSON.stringify({ open: isOpen }));
    }
  }

  private _connect(): void {
    const { settings } = this;
    // A browser sends no header of ours with this request.
    const query = new URLSearchParams({ language: this._language });
    if (settings.appendToken && settings.token) {
      query.set('token', settings.token);
    }
    const socket = new settings.WebSocket(`${URLExt.join(settings.wsUrl, 'batchspawner', 'channel')}?${query}`);
    this._socket = socket;
    socket.onopen = () => {
      this._reconnectMs = FIRST_RECONNECT_MS;
      this._isEnding = false;
      this._connected.emit();
      this._sendOpen();
    };
    socket.onmessage = event => this._take(JSON.parse(event.data) as Message);
    socket.onclose = () => {
      this._lost.emit();
      window.setTimeout(() => this._connect(), this._reconnectMs);
      this._reconnectMs = Math.min(2 * this._reconnectMs, LAST_RECONNECT_MS);
    };
    if (!this._isListening) {
      this._isListening = true;
      // A tab in the background asks for nothing.
      document.addEventListener('visibilitychange', () => this._sendOpen());
    }
  }

  private _take(message: Message): void {
    switch (message.type) {
      case 'time': {
        const skew = 1000 * message.now - Date.now();
        this._skewMs = Math.abs(skew) > 2000 ? skew : 0;
        this._root = message.root;
        return;
      }
      case 'ending':
        this._isEnding = true;
        return;
      case 'killed':
        this._killed.emit(message.kernel);
        return;
      case 'all':
        this._rows = new Map(message.rows.map(row => [row.id, row]));
        break;
      case 'changes':
        message.removed.forEach(id => this._rows.delete(id));
        message.changed.forEach(row => this._rows.set(row.id, row));
    }
    this._changed.emit();
  }

  private _rows = new Map<string, IRow>();
  private _open = new Set<string>();
  private _socket: WebSocket | null = null;
  private _skewMs = 0;
  private _root = '';
  private _isEnding = false;
  private _isListening = false;
  private _reconnectMs = FIRST_RECONNECT_MS;
  private _changed = new Signal<this, void>(this);
  private _lost = new Signal<this, void>(this);
  private _connected = new Signal<this, void>(this);
  private _killed = new Signal<this, string>(this);
}
