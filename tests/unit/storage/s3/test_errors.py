"""What an error of S3 means: the reason that is counted, and what is done about it."""

from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from exporter.storage.s3.errors import is_about_credentials, refusal, storage_error


def answered(code: str, status: int = 403) -> ClientError:
    """The error of a request that S3 answered so."""
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "ListObjectsV2")


def wrapped(error: Exception) -> OSError:
    """The error as s3fs raises it."""
    outer = PermissionError("no")
    outer.__cause__ = error
    return outer


def test_only_credentials_that_are_refused_or_missing_are_about_credentials() -> None:
    missing = NoCredentialsError()
    away = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    errors = [answered("ExpiredToken"), wrapped(missing), answered("AccessDenied"), wrapped(away)]
    assert [is_about_credentials(error) for error in errors] == [True, True, False, False]


def test_the_code_tells_the_reason_and_else_the_status() -> None:
    told = [
        storage_error(wrapped(answered("SlowDown", 503))),
        storage_error(answered("Whatever", 503)),
        storage_error(answered("NoSuchBucket", 404)),
        storage_error(answered("<b>Odd</b>", 418)),
    ]
    assert [(error.reason, error.detail) for error in told] == [
        ("throttled", "S3 answered SlowDown"),
        ("unavailable", "S3 answered Whatever (HTTP 503)"),
        ("not_found", "S3 answered NoSuchBucket"),
        ("other", "S3 answered bOddb (HTTP 418)"),
    ]


def test_a_parameter_is_refused_for_certain_unless_an_outage_looks_the_same() -> None:
    told = {
        status: None if (refused := refusal(answered(code, status))) is None else refused.is_certain
        for code, status in (
            ("NotImplemented", 501),
            ("InternalError", 500),
            ("AccessDenied", 403),
            ("ExpiredToken", 400),
        )
    }
    assert told == {501: True, 500: False, 403: None, 400: None}
