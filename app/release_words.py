"""What is told of releases and of the record of an index, on the command line and on the pages of admins alike."""

from collections.abc import Mapping

from indexer.record import Entry

ACTIONS: Mapping[str, str] = {
    "build": "建立",
    "publish": "发布",
    "rollback": "退回",
    "collect": "清除",
    "reject": "拒绝",
    "found": "发现",
    "upload": "上传",
    "remove": "移除",
}


def counted(counts: Mapping[str, int]) -> str:
    """The counts of a comparison in a line."""
    dated = f"（其中 {counts['dated']} 篇仅来源改变）" if counts["dated"] else ""
    return f"新增 {counts['added']} · 修改 {counts['changed']}{dated} · 删除 {counts['removed']}"


def details_told(entry: Entry) -> str:
    """What matters of an entry's details, in a few words; "" for nothing. A record may have been written to by others."""
    details = {key: value for key, value in entry.details.items() if value not in ("", None)}
    if entry.action == "build":
        made = {key: details.get(key, "?") for key in ("documents", "added", "changed", "removed")}
        parts = [f"{made['documents']} 篇，新增 {made['added']} · 修改 {made['changed']} · 删除 {made['removed']}"]
        parts += [f"{label} {details[key]}" for key, label in (("rejected", "拒绝"), ("expired", "过期")) if details.get(key)]
        return "；".join(parts)
    if entry.action == "reject":
        return str(details["reason"]).split("\n")[0] if "reason" in details else f"资料有 {details.get('faults', '?')} 处错误"
    if entry.action == "found":
        return f"发布中的版本与记录的 {details.get('recorded', '（无）')} 不同"
    if entry.action in ("upload", "remove"):
        return f"文件 {details.get('file', '?')}" + (f"，{details['bytes']} 字节" if "bytes" in details else "")
    return f"之前是 {details['before']}" if "before" in details else ""
