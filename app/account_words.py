"""What is told of accounts and keys on the pages of admins."""

from collections.abc import Mapping

from app.access import Scope

ACCOUNT_ACTS: Mapping[str, str] = {
    "add": "新增账户",
    "disable": "停用账户",
    "enable": "启用账户",
    "role": "改变角色",
    "password": "重设密码",
    "sign-out": "结束登录",
    "key-add": "新建密钥",
    "key-revoke": "停用密钥",
}
SCOPES: Mapping[Scope, str] = {
    "ask": "提问",
    "drugs": "查药",
    "documents": "检索和文档",
    "releases": "版本列表",
    "metrics": "监控数字",
    "admin": "管理",
}
