import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, Notification } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { JobsModel } from './model';
import { bytes, moment } from './words';

const CLOCK_MS = 1000;
const URGENT_MINUTES = 5;

/** So long before its end, a server that ends is taken to have reached it. */
const END_MARGIN_S = 90;

/** How often a server that is lost is asked for before the user is told. */
const TRIES = 3;
const TRY_MS = 3000;

/** What the Hub answers for a server that does not run (424), and the proxy for a dead one. */
const NOT_RUNNING = [424, 502, 503, 504];

/** Warnings before the end of this server's job, the notice when it has ended, and when a kernel was killed. */
export class Notices {
  constructor(
    private _app: JupyterFrontEnd,
    private _model: JobsModel,
    private _trans: TranslationBundle
  ) {
    window.setInterval(() => this._look(), CLOCK_MS);
    _model.changed.connect(() => this._look());
    _model.lost.connect(() => void this.lost());
    _model.connected.connect(() => this._found());
    _model.killed.connect((_, kernel) => this._tellKilled(kernel));
  }

  /** Minutes before the end at which the user is warned. */
  minutes: number[] = [15, 5];

  /** Find out why the server does not answer, and tell the user if it has ended. */
  async lost(): Promise<void> {
    if (this._isAsking || this._dialog || this._isTold) {
      return;
    }
    this._isAsking = true;
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        const status = await this._status();
        if (status !== null && !NOT_RUNNING.includes(status)) {
          return;
        }
        if (status === 424 || this._isOver() || this._model.isEnding) {
          break;
        }
        await new Promise(resolve => window.setTimeout(resolve, TRY_MS));
      }
      if (this._until || PageConfig.getOption('hubPrefix')) {
        await this._tellEnd();
      }
    } finally {
      this._isAsking = false;
    }
  }

  /** Return the status of the server's answer, null for none. */
  private async _status(): Promise<number | null> {
    try {
      const settings = ServerConnection.makeSettings();
      const url = URLExt.join(settings.baseUrl, 'api', 'status');
      return (await ServerConnection.makeRequest(url, { cache: 'no-store' }, settings)).status;
    } catch {
      return null;
    }
  }

  private _isOver(): boolean {
    return this._until !== null && this._model.now() >= this._until - END_MARGIN_S;
  }

  private _reason(): string {
    const trans = this._trans;
    if (this._until !== null && this._isOver()) {
      return trans.__('The time that its job had asked for was over at %1.', moment(this._until));
    }
    if (this._model.isEnding) {
      return trans.__('Its job was cancelled, or it was stopped in the Hub.');
    }
    return trans.__(
      'It gave no notice before: its node may have failed, or its job may have used more memory than it had asked for.'
    );
  }

  private async _tellEnd(): Promise<void> {
    const trans = this._trans;
    const hub = PageConfig.getOption('hubPrefix');
    const job = this._jobId ? trans.__('The job of this server (%1) has ended.', this._jobId) : trans.__('This server has ended.');
    const next = hub
      ? trans.__('The home page of the Hub may know more, and starts a new one. What is not saved is still in this page: copy it before you leave.')
      : trans.__('What is not saved is still in this page: copy it before you leave.');
    const again = Dialog.okButton({ label: trans.__('Start again') });
    const home = Dialog.createButton({ label: trans.__('Home page of the Hub') });
    const stay = Dialog.cancelButton({ label: trans.__('Stay here') });
    this._isTold = true;
    this._dismiss();
    this._dialog = new Dialog({
      title: trans.__('This server has ended'),
      body: [job, this._reason(), next].join(' '),
      buttons: hub ? [stay, home, again] : [stay],
      defaultButton: hub ? 2 : 0
    });
    const answer = await this._dialog.launch().catch(() => null);
    this._dialog = null;
    const host = PageConfig.getOption('hubHost');
    if (answer?.button.label === again.label && hub) {
      const parts = ['spawn', PageConfig.getOption('hubUser'), PageConfig.getOption('hubServerName')];
      window.location.assign(host + URLExt.join(hub, ...parts.filter(Boolean)));
    } else if (answer?.button.label === home.label) {
      window.location.assign(host + URLExt.join(hub, 'home'));
    }
  }

  private _found(): void {
    this._isTold = false;
    this._dialog?.reject();
    this._dialog = null;
  }

  private _look(): void {
    const server = this._model.server;
    const until = server?.until ?? null;
    this._jobId = server?.job_id || this._jobId;
    if (until !== this._until) {
      // A job whose time was changed warns again.
      if (until === null || (this._until !== null && until > this._until + 60)) {
        this._warned = Infinity;
        this._dismiss();
      }
      this._until = until ?? this._until;
    }
    if (until === null || this._isTold) {
      return;
    }
    const left = until - this._model.now();
    const due = this.minutes.filter(one => left <= 60 * one);
    const now = Math.min(Infinity, ...due);
    if (left > 0 && now < this._warned) {
      this._warned = now;
      this._warn(left);
    }
  }

  private _warn(left: number): void {
    const trans = this._trans;
    this._dismiss();
    const message = trans._n(
      'This server ends in %1 minute: the time of its job is over then. Save your work; what runs in kernels is lost.',
      'This server ends in %1 minutes: the time of its job is over then. Save your work; what runs in kernels is lost.',
      Math.max(1, Math.round(left / 60))
    );
    const urgent = left <= 60 * URGENT_MINUTES;
    this._toast = Notification.emit(message, urgent ? 'error' : 'warning', {
      autoClose: false,
      actions: [
        {
          label: trans.__('Save all'),
          displayType: 'warn',
          callback: () => void this._app.commands.execute('docmanager:save-all')
        }
      ]
    });
  }

  /** Tell of a kernel that was killed for memory: JupyterLab only says that it has died. */
  private _tellKilled(kernel: string): void {
    const trans = this._trans;
    const sessions = Array.from(this._app.serviceManager.sessions.running());
    const name = sessions.find(one => one.kernel?.id === kernel)?.name || trans.__('a notebook');
    const asked = this._model.server?.usage?.memory_asked;
    // JupyterLab cuts a notification after 140 characters, so that the name comes last.
    const used = asked
      ? trans.__("A kernel was killed: the job's memory (%1) is used up.", bytes(asked))
      : trans.__("A kernel was killed: the job's memory is used up.");
    const next = trans.__('Use less, or start the server with more. It was that of %1.', name);
    Notification.emit(`${used} ${next}`, 'error', { autoClose: false });
  }

  private _dismiss(): void {
    if (this._toast) {
      Notification.dismiss(this._toast);
      this._toast = '';
    }
  }

  private _until: number | null = null;
  private _jobId = '';
  private _warned = Infinity;
  private _toast = '';
  private _dialog: Dialog<unknown> | null = null;
  private _isAsking = false;
  private _isTold = false;
}
