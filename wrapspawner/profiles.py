"""Let users choose one of several configured spawners."""

from __future__ import annotations

import copy
from html import escape
from typing import Any

from jupyterhub.spawner import Spawner
from tornado import web
from traitlets import Dict, List, Tuple, Type, Unicode, validate

from .wrapspawner import WrapSpawner


class ProfilesSpawner(WrapSpawner):
    """Offer profiles in a form and start the server by the one that the user chose."""

    profiles = List(
        trait=Tuple(Unicode(), Unicode(), Type(Spawner), Dict()),
        minlen=1,
        help="The profiles, each as (name to show, key, spawner class, its configuration).",
    ).tag(config=True)
    child_profile = Unicode()
    form_template = Unicode(
        """<label for="profile">Select a job profile:</label>
<select class="form-control" name="profile" required autofocus>
{input_template}
</select>""",
        help="HTML of the form; {input_template} stands for the options.",
    ).tag(config=True)
    first_template = Unicode("selected", help="What {first} is in the first option.").tag(
        config=True
    )
    input_template = Unicode(
        """<option value="{key}" {first}>{display}</option>""",
        help="HTML of one option, with {display}, {key}, {type} and {first}.",
    ).tag(config=True)

    @validate("profiles")
    def _check_profiles(self, proposal: Any) -> Any:
        keys = [profile[1] for profile in proposal.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"c.ProfilesSpawner.profiles: more than one has the key {twice[0]!r}")
        return proposal.value

    def _options_form_default(self) -> str:
        options = [
            self.input_template.format(
                display=escape(display), key=escape(key), type=escape(_name_of(cls)),
                first="" if number else self.first_template,
            )
            for number, (display, key, cls, _) in enumerate(self.profiles)
        ]  # fmt: skip
        return self.form_template.format(input_template="".join(options))

    def options_from_form(self, formdata: dict[str, list[str]]) -> dict[str, Any]:
        """Return the choice in a form, the first profile where it makes none."""
        key = formdata.get("profile", [self.profiles[0][1]])[0]
        self._find(key)
        return {"profile": key}

    def load_child_class(self, state: dict[str, Any]) -> None:
        """Choose the class of the profile with which a running server was started."""
        self.child_profile = state.get("profile", "")
        known = {key: (cls, config) for _, key, cls, config in self.profiles}
        # A profile may have been taken out of the configuration while its server runs.
        if self.child_profile in known:
            self.child_class, config = known[self.child_profile]
            self.child_config = copy.deepcopy(config)

    def select_profile(self, key: str) -> None:
        """Take up a profile. Raises HTTPError 400 where there is none with this key."""
        self.child_class, config = self._find(key)
        self.child_config = copy.deepcopy(config)
        self.child_profile = key

    def _find(self, key: object) -> tuple[type[Spawner], dict[str, Any]]:
        for _, known, cls, config in self.profiles:
            if known == key:
                return cls, config
        raise web.HTTPError(
            400, f"there is no profile {key!r}; choose one of {[p[1] for p in self.profiles]}"
        )

    def construct_child(self) -> Spawner:
        """Make the child of the chosen profile."""
        if self.child_spawner is None and not self.child_profile:
            self.select_profile(self.user_options.get("profile", self.profiles[0][1]))
        return super().construct_child()

    def get_state(self) -> dict[str, Any]:
        """Return what it takes to make the child anew."""
        state = super().get_state()
        return {**state, "profile": self.child_profile} if state else state

    def clear_state(self) -> None:
        """Let go of the child and of the choice."""
        super().clear_state()
        self.child_profile = ""


def _name_of(cls: Any) -> str:
    return cls if isinstance(cls, str) else str(cls.__name__)
