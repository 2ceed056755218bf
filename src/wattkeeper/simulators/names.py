"""Made-up people and firms for the simulated sites, in English and Chinese."""

_FAMILY = (
    ("Wang", "王"), ("Li", "李"), ("Zhang", "张"), ("Liu", "刘"), ("Chen", "陈"), ("Yang", "杨"),
    ("Zhao", "赵"),
    ("Huang", "黄"), ("Zhou", "周"), ("Wu", "吴"), ("Xu", "徐"), ("Sun", "孙"), ("Hu", "胡"), ("Zhu", "朱"),
    ("Gao", "高"), ("Lin", "林"), ("He", "何"), ("Guo", "郭"), ("Ma", "马"), ("Luo", "罗"),
)  # fmt: skip
_GIVEN = (
    ("Lihua", "丽华"), ("Jianguo", "建国"), ("Xiaomei", "晓梅"), ("Zhiyuan", "志远"), ("Yuting", "雨婷"),
    ("Haoran", "浩然"), ("Guilan", "桂兰"), ("Wenbo", "文博"),
)  # fmt: skip
SHOPS = (
    ("Qinghe Noodle House", "清和面馆"), ("Beichen Stationery", "北辰文具"), ("Lianhua Bakery", "莲花烘焙坊"),
    ("Xingyue Hotpot", "星月火锅"), ("Yunshan Tea", "云山茶叶"), ("Hengtai Pharmacy", "恒泰药房"),
    ("Bailu Books", "白鹭书店"), ("Fenghua Fresh Market", "丰华生鲜"), ("Langyue Hair Studio", "朗悦美发"),
    ("Muyu Bicycle Repair", "沐雨单车行"),
)  # fmt: skip
COMMON = (
    ("Central cooling", "中央空调"), ("Lifts", "电梯"), ("Car park and charging", "车库与充电"),
    ("Lighting of common areas", "公共照明"), ("Water pumps", "水泵房"),
)  # fmt: skip
MACHINES = (
    ("Injection moulding line 1", "注塑一线"), ("CNC workshop", "数控车间"), ("Air compressors", "空压机站"),
    ("Paint shop", "喷涂车间"), ("Assembly line", "装配线"), ("Injection moulding line 2", "注塑二线"),
)  # fmt: skip


def resident(index: int) -> tuple[str, str]:
    """Return the name of the resident `index` (from 0), in English and Chinese; 160 differ."""
    family = _FAMILY[index % len(_FAMILY)]
    given = _GIVEN[(index // len(_FAMILY) * 3 + index) % len(_GIVEN)]
    return f"{family[0]} {given[0]}", f"{family[1]}{given[1]}"
