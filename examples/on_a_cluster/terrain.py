"""A terrain of one dimension: how high it is in each cell, and how steep."""


def height(cell: int) -> int:
    return cell * (17 - cell) % 23


def slope(height: int) -> int:
    return abs(height - 11)
