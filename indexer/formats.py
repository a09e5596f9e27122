"""What a file is, told by its bytes and not by its name."""

import io
import zipfile

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\x00", b"MM\x00*", b"BM")
_OTHER_ARCHIVES = (b"Rar!", b"7z\xbc\xaf", b"\xfd7zXZ", b"BZh")
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
READ = {"pdf": "pdf", "docx": "docx", "docm": "docx", "html": "html", "htm": "html", "txt": "txt", "zip": "zip"}
NAMED = {*READ, *"doc wps rtf xls xlsx ppt pptx rar 7z jpg jpeg png gif bmp tif tiff caj ofd epub".split()}


def sniff(data: bytes) -> tuple[str, str]:  # noqa: PLR0911 - a table of signatures
    """(kind, ""): pdf, docx, html, zip or txt; or ("", why it cannot be read and what to do)."""
    if not data.strip():
        return "", "是空文件，没有内容"
    if b"%PDF-" in data[:1024]:
        return "pdf", ""
    if data.startswith(b"PK"):
        return _zipped(data)
    if data.startswith(_OLE):
        locked = "EncryptedPackage".encode("utf-16-le") in data
        return "", "有密码，打不开：请另存一份不加密的文件" if locked else "是旧版 Office 文件（.doc .xls .ppt），请另存为 .docx 或 PDF"
    if data.startswith(_PICTURES):
        return "", "是图片，没有文字：请先做文字识别（OCR），再收录"
    if data.startswith(_OTHER_ARCHIVES):
        return "", "是读不了的压缩包，请改用 .zip"
    if data.startswith(b"{\\rtf"):
        return "", "是 RTF 文件，请另存为 .docx"
    head = data[:4096].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe\xfe\xff \r\n\t").lower()
    if any(mark in head[:1024] for mark in _HTML):
        return "html", ""
    if b"\x00" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", "不是文字文件（里面是二进制内容）"
    return "txt", ""


def _zipped(data: bytes) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "", "压缩包或 Word 文件不完整或已损坏，打不开：请重新导出或重新下载"
    if "word/document.xml" in names:
        return "docx", ""
    if "[Content_Types].xml" in names:
        return "", "是 Excel 或 PowerPoint 文件，请另存为 .csv、.docx 或 PDF"
    return "zip", ""
