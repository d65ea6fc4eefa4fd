import { Dialog, ReactWidget, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { LabIcon, ToolbarButtonComponent, addIcon, stopIcon, textEditorIcon } from '@jupyterlab/ui-components';
import { UUID } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import * as React from 'react';
import type { IRow, JobsModel } from './model';
import type { Requests } from './requests';
import { bytes, count, duration, moment, nameOf, stateWord, timeOf } from './words';

/** What the panel can ask the rest of JupyterLab to do. */
export interface IActions {
  openLog(row: IRow): void;
  openNotebook(path: string): void;
  newKernel(): void;
}

interface IContext {
  model: JobsModel;
  requests: Requests;
  actions: IActions;
  trans: TranslationBundle;
}

/** Rows of one section that are shown before one asks for all. */
const FIRST_ROWS = 50;

/** Between two looks at the clock; the server's own row has one of its own. */
const CLOCK_MS = 10000;

/** The sidebar with all jobs of this user. */
export class JobsPanel extends ReactWidget {
  constructor(
    private _context: IContext,
    icon: LabIcon
  ) {
    super();
    const { trans } = _context;
    this.id = 'batchspawner-jobs';
    this.title.icon = icon;
    this.title.caption = trans.__('Jobs');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Jobs'));
    this.addClass('jp-bs-Panel');
  }

  /** List jobs that have ended, too. */
  set showEnded(show: boolean) {
    this._showEnded = show;
    this.update();
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._context.model.setOpen(this.id, true);
  }

  protected onAfterHide(msg: Message): void {
    this._context.model.setOpen(this.id, false);
    super.onAfterHide(msg);
  }

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._context.model.setOpen(this.id, this.isVisible);
  }

  render(): JSX.Element {
    return <Jobs context={this._context} showEnded={this._showEnded} />;
  }

  private _showEnded = true;
}

/** Render again when the model has changed, and each so many milliseconds. */
export function useModel(model: JobsModel, clockMs: number): number {
  const [now, setNow] = React.useState(model.now());
  React.useEffect(() => {
    const update = () => setNow(model.now());
    const timer = window.setInterval(update, clockMs);
    model.changed.connect(update);
    return () => {
      window.clearInterval(timer);
      model.changed.disconnect(update);
    };
  }, [model, clockMs]);
  return now;
}

function Jobs(props: { context: IContext; showEnded: boolean }): JSX.Element {
  const { model, trans, actions } = props.context;
  const now = useModel(model, CLOCK_MS);
  const rows = model.rows;
  const server = model.server;
  const top = rows.filter(row => row.kind !== 'server' && !row.parent);
  const open = top.filter(row => !row.ended);
  const titles: [string[], string][] = [
    [['kernel'], trans.__('Kernels')],
    [['cell'], trans.__('Cells')],
    [['notebook'], trans.__('Notebooks')],
    [['function', 'executor'], trans.__('Functions')],
    [['cluster'], trans.__('Clusters')],
    [['other'], trans.__('Other jobs')]
  ];
  const ended = top.filter(row => row.ended).sort((one, other) => (other.until ?? 0) - (one.until ?? 0));
  return (
    <>
      <div className="jp-bs-Panel-head">
        <h2>{trans.__('Jobs')}</h2>
        <ToolbarButtonComponent
          icon={addIcon}
          tooltip={trans.__('New kernel as a job…')}
          onClick={() => actions.newKernel()}
        />
      </div>
      {server && <Server row={server} context={props.context} />}
      {titles.map(([kinds, title]) => (
        <Section
          key={title}
          title={title}
          rows={open.filter(row => kinds.includes(row.kind))}
          now={now}
          context={props.context}
        />
      ))}
      {open.length === 0 && (
        <p className="jp-bs-empty">{trans.__('No kernel, cell, function or cluster of yours has a job.')}</p>
      )}
      {props.showEnded && ended.length > 0 && (
        <details className="jp-bs-Section">
          <summary>
            {trans.__('Ended')} <span className="jp-bs-count">{ended.length}</span>
          </summary>
          <List rows={ended} now={now} context={props.context} />
        </details>
      )}
    </>
  );
}

function Section(props: { title: string; rows: IRow[]; now: number; context: IContext }): JSX.Element | null {
  const [all, setAll] = React.useState(false);
  const { title, rows, context } = props;
  if (rows.length === 0) {
    return null;
  }
  const shown = all ? rows : rows.slice(0, FIRST_ROWS);
  return (
    <details className="jp-bs-Section" open>
      <summary>
        {title} <span className="jp-bs-count">{rows.length}</span>
      </summary>
      <List rows={shown} now={props.now} context={context} />
      {shown.length < rows.length && (
        <button className="jp-bs-more" onClick={() => setAll(true)}>
          {context.trans.__('Show all %1', rows.length)}
        </button>
      )}
    </details>
  );
}

function List(props: { rows: IRow[]; now: number; context: IContext }): JSX.Element {
  return (
    <ul>
      {props.rows.map(row => (
        <Job key={row.id} row={row} now={props.now} context={props.context} />
      ))}
    </ul>
  );
}

/** One job. It is drawn again if its row or the clock has changed. */
const Job = React.memo(function Job(props: { row: IRow; now: number; context: IContext }): JSX.Element {
  const { row, now, context } = props;
  const { trans, model } = context;
  const [open, setOpen] = React.useState(false);
  const [more] = React.useState(() => `jp-bs-${UUID.uuid4()}`);
  const workers = open && row.kind === 'executor' ? model.rows.filter(one => one.parent === row.id) : [];
  return (
    <li className="jp-bs-Job" data-state={row.state} data-job={row.id} data-kind={row.kind}>
      <div className="jp-bs-Job-line">
        <button
          className="jp-bs-Job-name"
          aria-expanded={open}
          aria-controls={more}
          title={trans.__('Show details')}
          onClick={() => setOpen(!open)}
        >
          {nameOf(row, trans)}
        </button>
        <State row={row} trans={trans} />
        <Buttons row={row} context={context} />
      </div>
      {row.calls && <Calls calls={row.calls} trans={trans} />}
      <div className="jp-bs-Job-time">{timeOf(row, now, trans)}</div>
      {!row.ended && row.state !== 'RUNNING' && <div className="jp-bs-Job-words">{row.words}</div>}
      {open && (
        <div id={more} className="jp-bs-Job-more">
          <Facts row={row} context={context} />
          {workers.length > 0 && <List rows={workers} now={now} context={context} />}
        </div>
      )}
    </li>
  );
});

function State(props: { row: IRow; trans: TranslationBundle }): JSX.Element {
  return (
    <span className="jp-bs-State" data-state={props.row.state} title={props.row.words}>
      {stateWord(props.row, props.trans)}
    </span>
  );
}

function Calls(props: { calls: [number, number, number]; trans: TranslationBundle }): JSX.Element {
  const [total, done, failed] = props.calls;
  const { trans } = props;
  const words = failed
    ? trans.__('%1 of %2 calls done, %3 failed', done, total, failed)
    : trans.__('%1 of %2 calls done', done, total);
  return (
    <div className="jp-bs-Calls">
      <progress max={total} value={done} aria-label={words} />
      <span>{words}</span>
    </div>
  );
}

function Facts(props: { row: IRow; context: IContext }): JSX.Element {
  const { row, context } = props;
  const { trans } = context;
  const facts: [string, React.ReactNode][] = [
    [trans.__('State'), row.words],
    [trans.__('What you can do'), row.advice],
    [trans.__('Job'), row.job_id],
    [trans.__('Queue'), row.queue],
    [trans.__('Node'), row.node],
    [trans.__('Submitted'), row.submitted && moment(row.submitted)],
    [trans.__('Started'), row.started && moment(row.started)],
    [row.ended ? trans.__('Ended') : trans.__('Until'), row.until && moment(row.until)],
    [trans.__('From'), <Origin key="origin" row={row} context={context} />]
  ];
  const known = facts.filter(([, value], index) =>
    index === facts.length - 1 ? row.origin.notebook || row.origin.script : value
  );
  return (
    <dl>
      {known.map(([name, value]) => (
        <React.Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}

function Origin(props: { row: IRow; context: IContext }): JSX.Element {
  const { origin } = props.row;
  const { model, trans, actions } = props.context;
  const file = origin.notebook || origin.script;
  const path = model.pathOf(file);
  const name = file.split('/').pop() ?? file;
  return (
    <>
      {path ? (
        <button className="jp-bs-link" title={file} onClick={() => actions.openNotebook(path)}>
          {name}
        </button>
      ) : (
        <span title={file}>{name}</span>
      )}
      {origin.cell > 0 && ` ${trans.__('cell %1', origin.cell)}`}
    </>
  );
}

function Buttons(props: { row: IRow; context: IContext }): JSX.Element {
  const { row, context } = props;
  const { trans, actions, requests } = context;
  return (
    <span className="jp-bs-Buttons">
      {row.has_log && (
        <ToolbarButtonComponent
          icon={textEditorIcon}
          tooltip={trans.__('Show the log of %1', nameOf(row, trans))}
          onClick={() => actions.openLog(row)}
        />
      )}
      {row.can_cancel && (
        <ToolbarButtonComponent
          icon={stopIcon}
          tooltip={trans.__('Cancel %1', nameOf(row, trans))}
          onClick={() => void cancel(row, requests, trans)}
        />
      )}
    </span>
  );
}

/** Ask, and cancel a job. */
export async function cancel(row: IRow, requests: Requests, trans: TranslationBundle): Promise<void> {
  const body =
    row.kind === 'server'
      ? trans.__('This server, and all kernels in it, end at once. Save your work before.')
      : row.kind === 'executor'
        ? trans.__('All jobs of these calls are cancelled.')
        : trans.__('Job %1 ends; what runs in it is lost.', row.job_id);
  const answer = await showDialog({
    title: trans.__('Cancel %1?', nameOf(row, trans)),
    body,
    buttons: [Dialog.cancelButton({ label: trans.__('Keep') }), Dialog.warnButton({ label: trans.__('Cancel the job') })],
    defaultButton: 0
  });
  if (answer.button.accept) {
    try {
      await requests.cancel(row.id);
    } catch (error) {
      await showErrorMessage(trans.__('The job was not cancelled'), error as Error);
    }
  }
}

/** The row of this server's own job: the time that is left, and what it uses. */
function Server(props: { row: IRow; context: IContext }): JSX.Element {
  const { row, context } = props;
  const { trans, model } = context;
  const now = useModel(model, 1000);
  const usage = row.usage;
  const place = [row.node, row.queue && trans.__('queue %1', row.queue), row.job_id && trans.__('job %1', row.job_id)];
  return (
    <section className="jp-bs-Server" data-job="server" aria-label={trans.__('This server')}>
      <div className="jp-bs-Job-line">
        <h3>{trans.__('This server')}</h3>
        <State row={row} trans={trans} />
        <Buttons row={row} context={context} />
      </div>
      {row.until && (
        <div className="jp-bs-left">
          <strong>{duration(row.until - now, trans)}</strong> {trans.__('left, until %1', moment(row.until))}
        </div>
      )}
      <div className="jp-bs-Job-time">{place.filter(Boolean).join(' · ')}</div>
      {usage && usage.cores !== null && (
        <Meter name={trans.__('Cores')} used={usage.cores} asked={usage.cores_asked} show={count} trans={trans} />
      )}
      {usage && usage.memory !== null && (
        <Meter name={trans.__('Memory')} used={usage.memory} asked={usage.memory_asked} show={bytes} trans={trans} />
      )}
      {usage && usage.gpus_asked !== null && usage.gpus_asked > 0 && (
        <Meter name={trans.__('GPUs')} used={usage.gpus} asked={usage.gpus_asked} show={count} trans={trans} />
      )}
    </section>
  );
}

function Meter(props: {
  name: string;
  used: number | null;
  asked: number | null;
  show: (amount: number) => string;
  trans: TranslationBundle;
}): JSX.Element {
  const { name, used, asked, show, trans } = props;
  const words =
    used === null
      ? show(asked ?? 0)
      : asked
        ? trans.__('%1 of %2', show(used), show(asked))
        : show(used);
  return (
    <div className="jp-bs-Meter">
      <span>{name}</span>
      {asked && used !== null ? (
        <meter min={0} max={asked} high={0.9 * asked} value={Math.min(used, asked)} aria-label={`${name}: ${words}`} />
      ) : (
        <span />
      )}
      <span>{words}</span>
    </div>
  );
}
