import pytest

from gatekeeper.errors import Invalid
from gatekeeper.web.generate.schemas import text_to_image


def test_the_clients_names_become_ours() -> None:
    values = text_to_image(b'{"inputs": "an apple", "parameters": {"num_inference_steps": 5, "seed": 3}}')
    assert values == {"prompt": "an apple", "steps": 5, "seed": 3}


def test_a_body_without_parameters_is_enough() -> None:
    assert text_to_image(b'{"inputs": "an apple"}') == {"prompt": "an apple"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b'"apple"',
        b'{"inputs": "a", "parameters": [1]}',
        b'{"inputs": "a", "parameters": []}',
        b'{"inputs": "a cat", "inputs": "another"}',
        b'{"inputs": "a cat", "parameters": {"seed": 1, "seed": 2}}',
        b'{"inputs": "QUJD", "parameters": {"prompt": "image to image"}}',
        b'{"inputs": "a", "wishes": 1}',
        b'{"inputs": "a", "parameters": {"num_images_per_prompt": 2}}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_one_image_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        text_to_image(content)
