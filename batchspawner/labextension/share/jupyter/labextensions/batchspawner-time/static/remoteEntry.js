/* Warn 15 and 5 minutes before the time of the batch job is over in which JupyterLab runs.
 *
 * A container in the form in which JupyterLab loads extensions, written by hand: it needs no
 * module of JupyterLab, only two of its commands.
 */
(function() {
  "use strict";

  const WARNINGS = [15, 5]; // minutes before the end
  const LONGEST = 2 ** 31 - 1; // milliseconds that a timer of a browser can take

  function pageConfig() {
    const element = document.getElementById("jupyter-config-data");
    return element ? JSON.parse(element.textContent) : {};
  }

  /* Return by how many milliseconds the clock of the server is ahead of the browser's. */
  async function clockSkew(baseUrl) {
    try {
      const answer = await fetch(`${baseUrl}api`, { method: "HEAD", cache: "no-store" });
      const skew = Date.parse(answer.headers.get("Date")) - Date.now();
      return Math.abs(skew) > 5000 ? skew : 0;
    } catch (error) {
      return 0;
    }
  }

  function warn(app, millisecondsLeft) {
    const minutes = Math.max(1, Math.round(millisecondsLeft / 60000));
    const unit = minutes === 1 ? "minute" : "minutes";
    app.commands.execute("apputils:notify", {
      message: `This server ends in ${minutes} ${unit}: the time of its job is over then. ` +
        "Save your work; what runs in kernels is lost.",
      type: minutes <= 5 ? "error" : "warning",
      options: {
        autoClose: false,
        actions: [{ label: "Save all", commandId: "docmanager:save-all", displayType: "warn" }]
      }
    });
  }

  function at(moment, action) {
    const left = moment - Date.now();
    if (left > LONGEST) {
      setTimeout(() => at(moment, action), LONGEST);
    } else {
      setTimeout(action, Math.max(0, left));
    }
  }

  async function watch(app, config, seconds) {
    const end = 1000 * seconds - await clockSkew(config.baseUrl);
    const left = () => end - Date.now();
    const late = WARNINGS.filter((minutes) => left() < minutes * 60000);
    if (late.length > 0 && left() > 0) {
      warn(app, left());
    }
    for (const minutes of WARNINGS) {
      if (!late.includes(minutes)) {
        at(end - minutes * 60000, () => warn(app, left()));
      }
    }
  }

  const plugin = {
    id: "batchspawner-time:warnings",
    description: "Warns before the time of the batch job is over.",
    autoStart: true,
    activate: (app) => {
      const config = pageConfig();
      const seconds = Number(config.batchspawnerEnd);
      if (seconds) {
        // Not awaited: JupyterLab is restored only after all extensions are active.
        app.restored.then(() => watch(app, config, seconds));
      }
    }
  };

  const module = { __esModule: true, default: plugin };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["batchspawner-time"] = {
    init: () => undefined,
    get: () => Promise.resolve(() => module)
  };
})();
