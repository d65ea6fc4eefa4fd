import { ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { JobsModel } from './model';
import { useModel } from './panel';
import { duration, memory, moment } from './words';

/** From so many seconds on, the time that is left is shown as urgent. */
const URGENT_S = 900;

/** The time that is left for this server, and the memory that it uses. */
export class StatusItem extends ReactWidget {
  constructor(
    private _model: JobsModel,
    private _trans: TranslationBundle,
    private _open: () => void
  ) {
    super();
    this.id = 'batchspawner-status';
    this.addClass('jp-bs-Status');
  }

  set showMemory(show: boolean) {
    this._showMemory = show;
    this.update();
  }

  render(): JSX.Element {
    return <Status model={this._model} trans={this._trans} open={this._open} showMemory={this._showMemory} />;
  }

  private _showMemory = true;
}

function Status(props: {
  model: JobsModel;
  trans: TranslationBundle;
  open: () => void;
  showMemory: boolean;
}): JSX.Element | null {
  const { model, trans } = props;
  const now = useModel(model, 1000);
  const row = model.server;
  if (!row) {
    return null;
  }
  const left = row.until ? row.until - now : null;
  const parts = [
    left === null ? '' : trans.__('%1 left', duration(left, trans)),
    props.showMemory ? memory(row, trans) : ''
  ].filter(Boolean);
  const title = row.until
    ? trans.__('The job of this server ends at %1. Show all jobs.', moment(row.until))
    : trans.__('Show all jobs');
  return (
    <button title={title} data-urgent={left !== null && left < URGENT_S} onClick={props.open}>
      {parts.join(' · ') || trans.__('Jobs')}
    </button>
  );
}
