"""Settings: what is read, what is refused, and that the key shows itself nowhere."""

from __future__ import annotations

import copy
import pickle
import sys
import traceback
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from core.errors import SettingsError
from core.settings import SDKS, TRANSPORTS, Endpoint, Secret, Settings, load_settings

KEY = "AIzaCanary0123456789"


def complaint(**environ: str) -> str:
    """The message of the SettingsError that these variables cause."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert caught.value.__cause__ is None
    return str(caught.value)


def endpoint(text: str) -> Endpoint | None:
    return load_settings({"GEMINI_API_ENDPOINT": text}).endpoint


class TestDefaults:
    def test_empty_environment_gives_the_defaults(self) -> None:
        """Nothing set is the offline model with the reference's figures."""
        settings = load_settings({})
        assert settings == Settings()
        assert settings.offline
        assert settings.model == "gemini-2.5-flash"
        assert (settings.sdk, settings.transport) == (SDKS[0], TRANSPORTS[0]) == ("google-generativeai", "grpc")
        assert (settings.max_workers, settings.query_timeout, settings.cache_ttl) == (5, 15.0, 300)

    def test_blank_values_are_the_defaults(self) -> None:
        """A variable of blanks counts as not set."""
        names = ("GEMINI_API_KEY", "GEMINI_MODEL", "GEMINI_SDK", "GEMINI_API_ENDPOINT", "MAX_WORKERS", "OFFLINE_SEED")
        assert load_settings(dict.fromkeys(names, "  ")) == Settings()

    def test_every_variable_is_read(self) -> None:
        """Each variable reaches its field, blanks around it removed."""
        settings = load_settings(
            {
                "GEMINI_API_KEY": f" {KEY} ",
                "GEMINI_MODEL": "models/gemini-x",
                "GEMINI_SDK": "google-genai",
                "GEMINI_TRANSPORT": "rest",
                "GEMINI_API_ENDPOINT": "https://proxy.example:8443",
                "MAX_WORKERS": "7",
                "QUERY_TIMEOUT": "2.5",
                "CACHE_TTL": "0",
                "OFFLINE_SCALE": "0",
                "OFFLINE_SEED": "9",
                "OFFLINE_FAULTS": " hang@0.5 ",
            }
        )
        assert settings.api_key is not None
        assert settings.api_key.reveal() == KEY
        assert not settings.offline
        assert settings == Settings(
            api_key=settings.api_key,
            model="gemini-x",
            sdk="google-genai",
            transport="rest",
            endpoint=Endpoint("proxy.example", 8443, plaintext=False),
            max_workers=7,
            query_timeout=2.5,
            cache_ttl=0,
            offline_scale=0.0,
            offline_seed=9,
            offline_faults="hang@0.5",
        )

    def test_settings_are_frozen(self) -> None:
        """No one changes the settings after they are read."""
        with pytest.raises(FrozenInstanceError):
            Settings().model = "other"  # type: ignore[misc]  # the point of the test

    def test_the_process_environment_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the mapping that is passed in counts."""
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
        assert load_settings({}).offline


class TestKey:
    def test_first_name_wins(self) -> None:
        """GEMINI_API_KEY comes before GOOGLE_API_KEY, which serves where the first is blank."""
        both = load_settings({"GEMINI_API_KEY": "first", "GOOGLE_API_KEY": "second"}).api_key
        blank = load_settings({"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "second"}).api_key
        assert both is not None
        assert both.reveal() == "first"
        assert blank is not None
        assert blank.reveal() == "second"

    @pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
    @pytest.mark.parametrize("flaw", [" ", "\n", "\r\n", "\t", "\x00", "\x7f", "鑰", "\u200b", "\u00a0"])
    def test_flawed_key_is_refused_without_showing_it(self, name: str, flaw: str) -> None:
        """A key with a blank, a line break or a non-ASCII character is refused, and no part of it is in the message."""
        message = complaint(**{name: f"{KEY[:8]}{flaw}{KEY[8:]}"})
        assert name in message
        assert KEY[:8] not in message
        assert KEY[8:] not in message


class TestSecret:
    def test_shows_itself_in_no_text(self) -> None:
        """str, repr, format and the settings around it print stars."""
        secret = Secret(KEY)
        settings = Settings(api_key=secret)
        for text in (str(secret), repr(secret), f"{secret}", f"{secret!r}", str(settings), repr([secret])):
            assert KEY not in text
            assert "***" in text

    def test_has_no_attribute_dictionary(self) -> None:
        """What dumps an object's attributes finds nothing."""
        with pytest.raises(TypeError):
            vars(Secret(KEY))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_cannot_be_pickled(self, protocol: int) -> None:
        """Every pickle protocol refuses, for the secret and for the settings."""
        for victim in (Secret(KEY), Settings(api_key=Secret(KEY))):
            with pytest.raises(TypeError) as caught:
                pickle.dumps(victim, protocol)
            assert KEY not in str(caught.value)

    def test_cannot_be_copied_into_another_shape(self) -> None:
        """A deep copy, and a conversion to a dict that makes one, refuse."""
        with pytest.raises(TypeError):
            copy.deepcopy(Secret(KEY))
        with pytest.raises(TypeError):
            asdict(Settings(api_key=Secret(KEY)))

    def test_compares_by_identity(self) -> None:
        """Equality says nothing about the text."""
        secret = Secret(KEY)
        assert secret == secret
        assert secret != Secret(KEY)

    def test_traceback_with_locals_does_not_show_it(self) -> None:
        """A crash report that prints local variables prints stars."""

        def crash(settings: Settings) -> None:
            raise RuntimeError(f"boom {settings}")

        try:
            crash(Settings(api_key=Secret(KEY)))
        except RuntimeError:
            report = "".join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format())
        assert "boom" in report
        assert KEY not in report


class TestChoicesAndNumbers:
    @pytest.mark.parametrize(
        ("name", "value", "choices"), [("GEMINI_SDK", "openai", SDKS), ("GEMINI_TRANSPORT", "GRPC", TRANSPORTS)]
    )
    def test_unknown_choice_names_the_known_ones(self, name: str, value: str, choices: tuple[str, ...]) -> None:
        """The message has the variable, the value and every choice."""
        message = complaint(**{name: value})
        assert all(part in message for part in (name, value, *choices))

    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [
            ("MAX_WORKERS", "1", "1000"),
            ("QUERY_TIMEOUT", "0.1", "86400"),
            ("CACHE_TTL", "0", "1000000000"),
            ("OFFLINE_SCALE", "0", "1000"),
            ("OFFLINE_SEED", "0", "9223372036854775808"),
        ],
    )
    def test_numbers_are_bounded(self, name: str, low: str, high: str) -> None:
        """Both bounds are allowed; below, above, not a number and not finite are refused by name."""
        for text in (low, high):
            load_settings({name: text})
        for text in ("-1", f"{high}0", "nan", "inf", "-inf", "many", "1,5", "9" * 5000):
            assert name in complaint(**{name: text})

    def test_whole_numbers_stay_whole(self) -> None:
        """A fraction is not a number of workers."""
        assert "MAX_WORKERS" in complaint(MAX_WORKERS="2.5")

    @pytest.mark.parametrize("name", ["gemini-2.5-flash", "models/gemini-2.5-pro", "tunedModels/mine_1"])
    def test_model_names(self, name: str) -> None:
        """A model goes by its name, with or without the service's prefix."""
        assert load_settings({"GEMINI_MODEL": name}).model == name.removeprefix("models/")

    @pytest.mark.parametrize("name", ["models/", "../x", "a b", "a?key=b", "a#b", "a/b/c", "模型", "a\nb"])
    def test_what_is_no_model_name(self, name: str) -> None:
        """What would bend the request's path is refused."""
        assert "GEMINI_MODEL" in complaint(GEMINI_MODEL=name)


class TestEndpoint:
    @pytest.mark.parametrize(
        ("text", "expected", "url"),
        [
            ("127.0.0.1:8080", Endpoint("127.0.0.1", 8080, True), "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", Endpoint("127.0.0.1", 8080, True), "http://127.0.0.1:8080"),
            ("http://127.9.9.9", Endpoint("127.9.9.9", 80, True), "http://127.9.9.9:80"),
            ("http://LOCALHOST:1", Endpoint("localhost", 1, True), "http://localhost:1"),
            ("[::1]:99", Endpoint("::1", 99, True), "http://[::1]:99"),
            ("http://[::1]", Endpoint("::1", 80, True), "http://[::1]:80"),
            ("https://[::1]:99", Endpoint("::1", 99, False), "https://[::1]:99"),
            ("https://localhost:99", Endpoint("localhost", 99, False), "https://localhost:99"),
            ("gemini.example", Endpoint("gemini.example", 443, False), "https://gemini.example:443"),
            ("https://gemini.example:8443/", Endpoint("gemini.example", 8443, False), "https://gemini.example:8443"),
            ("[2001:db8::1]:5", Endpoint("2001:db8::1", 5, False), "https://[2001:db8::1]:5"),
            ("localhost.:80", Endpoint("localhost.", 80, False), "https://localhost.:80"),
        ],
    )
    def test_accepted(self, text: str, expected: Endpoint, url: str) -> None:
        """Plaintext goes to loopback addresses only, TLS everywhere else."""
        found = endpoint(text)
        assert found == expected
        assert found.url == url
        assert found.url.endswith(found.authority)

    @pytest.mark.parametrize(
        "text",
        [
            "http://gemini.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://127.1:5",
            "http://2130706433", "http://0.0.0.0:80", "http://[::]:80", "http://192.168.0.1", "http://evil.example:80/",
            "http://localhost.:80",
        ],
    )  # fmt: skip
    def test_plaintext_to_elsewhere_is_refused(self, text: str) -> None:
        """The key would travel in clear, and the message says so."""
        assert "明文" in complaint(GEMINI_API_ENDPOINT=text)

    @pytest.mark.parametrize(
        "text",
        [
            "http://127.0.0.1@evil.example", "http://user:pw@127.0.0.1", "https://@gemini.example", "user@localhost:80",
            "http://127.0.0.1:80\\@evil.example", "https://:pw@gemini.example",
        ],
    )  # fmt: skip
    def test_user_information_is_refused_and_not_shown(self, text: str) -> None:
        """An address with an account is refused without repeating its password."""
        message = complaint(GEMINI_API_ENDPOINT=text)
        assert "GEMINI_API_ENDPOINT" in message
        assert "帳號" in message
        assert "pw" not in message

    @pytest.mark.parametrize(
        "text",
        [
            "::1", "host:99999", "host:0", "https://host:0", "host:80:90", "host:+80", "host:x", "ftp://host", "https://",
            "http://:80", "//host", "https://host/v1", "https://host?x", "https://host#x", "http://evil.example#@127.0.0.1",
            "https://[bad", "https://a b", "https://ge\nn.example", "https://例子.example", "http://[::1%25lo]:80",
            "https://a,b", "http://127.0.0.1:1;x", "https://host\x7f",
        ],
    )  # fmt: skip
    def test_malformed_is_refused(self, text: str) -> None:
        """What is no host and port is refused with the form that is."""
        assert "主機:埠" in complaint(GEMINI_API_ENDPOINT=text)


class TestDotenv:
    def write(self, folder: Path, content: str | bytes) -> Path:
        path = folder / ".env"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def test_file_is_read(self, tmp_path: Path) -> None:
        """Values, quotes, comments, export and a byte order mark of a .env file are understood."""
        content = f"\ufeffGEMINI_API_KEY='{KEY}'  # mine\n# GEMINI_MODEL=no\nexport GEMINI_MODEL=x\nLONELY\n"
        settings = load_settings({}, dotenv=self.write(tmp_path, content))
        assert settings.api_key is not None
        assert settings.api_key.reveal() == KEY
        assert settings.model == "x"

    def test_environment_wins_even_when_empty(self, tmp_path: Path) -> None:
        """A variable in the environment hides the file's, an empty one too."""
        path = self.write(tmp_path, f"GEMINI_API_KEY={KEY}\nGEMINI_MODEL=file\nMAX_WORKERS=9\n")
        settings = load_settings({"GEMINI_API_KEY": "", "GEMINI_MODEL": "environment"}, dotenv=path)
        assert settings.offline
        assert settings.model == "environment"
        assert settings.max_workers == 9

    def test_nothing_is_interpolated(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A dollar sign is a dollar sign, not the way into another variable."""
        monkeypatch.setenv("HOME_SECRET", "leak")
        path = self.write(tmp_path, "OFFLINE_FAULTS=${HOME_SECRET}\n")
        assert load_settings({}, dotenv=path).offline_faults == "${HOME_SECRET}"

    def test_missing_file_and_directory_are_no_file(self, tmp_path: Path) -> None:
        """Without a file only the environment counts."""
        assert load_settings({}, dotenv=tmp_path / ".env") == Settings()
        assert load_settings({}, dotenv=tmp_path) == Settings()

    @pytest.mark.parametrize("content", [b"\xff\xfe", f"GEMINI_API_KEY={KEY}".encode("utf-16")])
    def test_file_that_is_not_text_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """A file in another encoding is an error naming the file, without its content."""
        path = self.write(tmp_path, content)
        with pytest.raises(SettingsError, match=r"\.env .*UTF-8") as caught:
            load_settings({}, dotenv=path)
        assert KEY not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)

    def test_unreadable_file_is_refused(self, tmp_path: Path, mocker: MockerFixture) -> None:
        """A file that may not be looked at is an error of the same sort."""
        mocker.patch.object(Path, "is_file", side_effect=PermissionError(13, "no"))
        with pytest.raises(SettingsError, match="PermissionError"):
            load_settings({}, dotenv=tmp_path / ".env")

    def test_flaw_in_the_file_is_reported_like_one_in_the_environment(self, tmp_path: Path) -> None:
        """A key broken over two lines of the file is refused without showing it."""
        path = self.write(tmp_path, f"GEMINI_API_KEY='{KEY[:8]}\n{KEY[8:]}'\n")
        with pytest.raises(SettingsError) as caught:
            load_settings({}, dotenv=path)
        assert "GEMINI_API_KEY" in str(caught.value)
        assert KEY[:8] not in str(caught.value)


def test_a_run_has_no_cap_unless_one_is_set() -> None:
    """Unset and zero are no cap; otherwise tokens are whole and dollars exact."""
    assert (load_settings({}).max_run_tokens, load_settings({}).max_run_usd) == (None, None)
    assert load_settings({"MAX_RUN_TOKENS": "0", "MAX_RUN_USD": "0"}).max_run_usd is None
    capped = load_settings({"MAX_RUN_TOKENS": "5000", "MAX_RUN_USD": "0.1"})
    assert (capped.max_run_tokens, str(capped.max_run_usd)) == (5000, "0.1")
    with pytest.raises(SettingsError, match="MAX_RUN_USD"):
        load_settings({"MAX_RUN_USD": "-1"})


def test_hedging_is_a_quantile_or_off() -> None:
    """Unset is off; a share of one or more is no quantile."""
    assert load_settings({}).hedge_quantile is None
    assert load_settings({"HEDGE": "0.95"}).hedge_quantile == 0.95
    with pytest.raises(SettingsError, match="HEDGE"):
        load_settings({"HEDGE": "1"})
