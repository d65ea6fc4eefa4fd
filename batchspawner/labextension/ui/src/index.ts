import {
  ConnectionLost,
  IConnectionLost,
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, Notification } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { listIcon } from '@jupyterlab/ui-components';
import { PageConfig } from '@jupyterlab/coreutils';
import { Token } from '@lumino/coreutils';
import { askForKernel, askForNotebook, IKernel } from './forms';
import { LogView } from './log';
import { IRow, JobsModel } from './model';
import { Notices } from './notices';
import { IActions, JobsPanel } from './panel';
import { Requests } from './requests';
import { StatusItem } from './status';
import { nameOf, setLanguage } from './words';

const COMMANDS = {
  show: 'batchspawner:show-jobs',
  kernel: 'batchspawner:new-kernel',
  notebook: 'batchspawner:submit-notebook'
};

/** What our plugins share. */
interface IJobs {
  model: JobsModel;
  requests: Requests;
  notices: Notices;
}

const IJobs = new Token<IJobs>('batchspawner:IJobs', 'The jobs of this user, and the end of this server.');

/** The connection to our server extension, and the notices about this server's own job. */
const notices: JupyterFrontEndPlugin<IJobs> = {
  id: 'batchspawner:notices',
  description: 'Warns before the time of this server is over, and tells when it has ended.',
  autoStart: true,
  provides: IJobs,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const { languageCode } = translator ?? nullTranslator;
    const trans = (translator ?? nullTranslator).load('batchspawner');
    const settings = app.serviceManager.serverSettings;
    setLanguage(languageCode);
    const model = new JobsModel(settings, languageCode);
    return { model, requests: new Requests(settings, languageCode), notices: new Notices(app, model, trans) };
  }
};

/** What JupyterLab calls when requests fail; in a Hub, we find out whether the server has ended. */
const connectionLost: JupyterFrontEndPlugin<IConnectionLost> = {
  id: 'batchspawner:connection-lost',
  description: 'Tells that a server of the Hub has ended, and why.',
  autoStart: true,
  provides: IConnectionLost,
  requires: [IJobs],
  activate: (_: JupyterFrontEnd, jobs: IJobs): IConnectionLost => {
    return async (manager, error, translator) => {
      if (jobs.model.server || PageConfig.getOption('hubPrefix')) {
        return jobs.notices.lost();
      }
      return ConnectionLost(manager, error, translator);
    };
  }
};

/** The sidebar, the status bar and the commands. */
const jobs: JupyterFrontEndPlugin<void> = {
  id: 'batchspawner:jobs',
  description: 'Lists the jobs of this user.',
  autoStart: true,
  requires: [IJobs],
  optional: [
    ITranslator,
    ICommandPalette,
    ISettingRegistry,
    IStatusBar,
    ILabShell,
    ILayoutRestorer,
    IDocumentManager,
    INotebookTracker
  ],
  activate: (
    app: JupyterFrontEnd,
    shared: IJobs,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null,
    statusBar: IStatusBar | null,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    documents: IDocumentManager | null,
    notebooks: INotebookTracker | null
  ) => {
    const trans = (translator ?? nullTranslator).load('batchspawner');
    const { model, requests } = shared;
    const { commands, shell, serviceManager } = app;

    const actions: IActions = {
      openLog: (row: IRow) => {
        const content = new LogView(row.id, model, requests, trans);
        const widget = new MainAreaWidget({ content });
        widget.title.label = trans.__('Log of %1', nameOf(row, trans));
        widget.title.closable = true;
        shell.add(widget, labShell ? 'main' : 'down');
        shell.activateById(widget.id);
      },
      openNotebook: (path: string) => {
        void commands.execute('docmanager:open', { path });
      },
      newKernel: () => {
        void commands.execute(COMMANDS.kernel);
      }
    };

    const panel = new JobsPanel({ model, requests, actions, trans }, listIcon);
    shell.add(panel, 'left', { rank: 250, type: 'Jobs' });
    restorer?.add(panel, panel.id);

    commands.addCommand(COMMANDS.show, {
      label: trans.__('Show Jobs'),
      caption: trans.__('Show the jobs that wait and run'),
      icon: listIcon,
      execute: () => {
        const { expandLeft } = shell as unknown as { expandLeft?: (id: string) => void };
        if (!labShell && expandLeft) {
          expandLeft.call(shell, panel.id);
        }
        shell.activateById(panel.id);
      }
    });

    commands.addCommand(COMMANDS.kernel, {
      label: trans.__('New Kernel as a Job…'),
      caption: trans.__('Write a kernel spec whose kernels run in jobs, and start one'),
      execute: async () => {
        const specs = serviceManager.kernelspecs.specs;
        const kernels = ownKernels(specs?.kernelspecs ?? {}, specs?.default ?? '');
        const kernelName = await askForKernel(kernels, requests, trans);
        if (kernelName) {
          await serviceManager.kernelspecs.refreshSpecs();
          await commands.execute('notebook:create-new', { kernelName });
        }
      }
    });

    commands.addCommand(COMMANDS.notebook, {
      label: trans.__('Submit This Notebook as a Job…'),
      caption: trans.__('Run the notebook in a job, and write a copy with its outputs beside it'),
      isEnabled: () => !!notebooks?.currentWidget,
      execute: async () => {
        const context = notebooks?.currentWidget?.context;
        if (!context) {
          return;
        }
        await context.save();
        const done = await askForNotebook(context.localPath ?? context.path, requests, trans);
        if (done) {
          const { job_id: job, result } = done;
          Notification.info(trans.__('Job %1 runs this notebook; its result is %2.', job, result), {
            autoClose: 8000,
            actions: documents
              ? [{ label: trans.__('Open the result'), callback: () => void documents.openOrReveal(result) }]
              : []
          });
        }
      }
    });

    const category = trans.__('Batch Jobs');
    Object.values(COMMANDS).forEach(command => palette?.addItem({ command, category }));

    const status = new StatusItem(model, trans, () => void commands.execute(COMMANDS.show));
    if (statusBar) {
      statusBar.registerStatusItem('batchspawner:status', { item: status, align: 'right', rank: 10 });
    } else {
      shell.add(status, 'top', { rank: 900 });
    }

    void registry?.load(jobs.id).then(settings => {
      const apply = () => {
        status.showMemory = settings.get('memory').composite as boolean;
        panel.showEnded = settings.get('ended').composite as boolean;
        shared.notices.minutes = settings.get('warnings').composite as number[];
      };
      settings.changed.connect(apply);
      apply();
    });
  }
};

/** Return the kernels that do not run in jobs yet, the default one first. */
function ownKernels(
  specs: { [name: string]: { name: string; display_name: string; metadata?: unknown } | undefined },
  first: string
): IKernel[] {
  return Object.values(specs)
    .filter(spec => spec && !(spec.metadata as { kernel_provisioner?: unknown } | undefined)?.kernel_provisioner)
    .map(spec => ({ name: spec!.name, title: spec!.display_name }))
    .sort((one, other) => Number(other.name === first) - Number(one.name === first));
}

export default [notices, connectionLost, jobs];
